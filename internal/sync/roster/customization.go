package roster

// The names of what we put into a mailbox. The engine prepares a mailbox under
// these names and administration takes it out again, so both read them here.
const (
	// FolderName is the contact folder.
	FolderName = "CRM"
	// CategoryName is the category of all items that are ours.
	CategoryName = "CRM"
)
