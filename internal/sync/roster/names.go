package roster

// What we create in a mailbox bears these names.
const (
	FolderName   = "CRM"
	CategoryName = "CRM"
)
