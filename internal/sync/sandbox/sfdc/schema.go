package sfdc

import "strings"

// kind is the type of a field, under the name that describe gives it.
type kind string

const (
	kID        kind = "id"
	kString    kind = "string"
	kTextArea  kind = "textarea"
	kEmail     kind = "email"
	kPhone     kind = "phone"
	kURL       kind = "url"
	kPicklist  kind = "picklist"
	kBoolean   kind = "boolean"
	kDate      kind = "date"
	kDateTime  kind = "datetime"
	kReference kind = "reference"
)

// field describes one column of an object.
type field struct {
	name, label string
	kind        kind
	length      int
	// readOnly fields are set by the server alone.
	readOnly bool
	required bool
	// unfilterable fields cannot be used in WHERE: long text areas.
	unfilterable bool
	// unique fields hold a value once among the live rows, compared without case.
	unique     bool
	externalID bool
	custom     bool
	// refTo and rel are the object that a reference points to and the name of the
	// relationship in a query.
	refTo, rel string
	// removed: the field was deleted or hidden from the user of the integration.
	removed bool
	idx     int
}

// schema describes one object.
type schema struct {
	name, label, plural, prefix string
	// readOnly objects cannot be changed through the API here.
	readOnly bool
	fields   []*field
	byName   map[string]*field
	byRel    map[string]*field
}

// field returns a field by its name, in any case; nil if there is none or it was
// removed.
func (s *schema) field(name string) *field {
	if f := s.byName[strings.ToLower(name)]; f != nil && !f.removed {
		return f
	}
	return nil
}

func newSchema(name, plural, prefix string, fields ...*field) *schema {
	s := &schema{
		name: name, label: name, plural: plural, prefix: prefix,
		byName: make(map[string]*field), byRel: make(map[string]*field),
	}
	for _, f := range fields {
		s.add(f)
	}
	return s
}

func (s *schema) add(f *field) {
	f.idx = len(s.fields)
	s.fields = append(s.fields, f)
	s.byName[strings.ToLower(f.name)] = f
	if f.rel != "" {
		s.byRel[strings.ToLower(f.rel)] = f
	}
}

func text(name, label string, length int) *field {
	return &field{name: name, label: label, kind: kString, length: length}
}

func typed(k kind, name, label string, length int) *field {
	return &field{name: name, label: label, kind: k, length: length}
}

func reference(name, label, refTo, rel string) *field {
	return &field{name: name, label: label, kind: kReference, length: 18, refTo: refTo, rel: rel}
}

func readOnly(f *field) *field {
	f.readOnly = true
	return f
}

func required(f *field) *field {
	f.required = true
	return f
}

// The system fields that every object here has, at the same positions.
const (
	fID = iota
	fDeleted
	fCreated
	fCreatedBy
	fModified
	fModifiedBy
	fStamp
	systemFields
)

func system() []*field {
	return []*field{
		fID:         readOnly(typed(kID, "Id", "Record ID", 18)),
		fDeleted:    readOnly(typed(kBoolean, "IsDeleted", "Deleted", 0)),
		fCreated:    readOnly(typed(kDateTime, "CreatedDate", "Created Date", 0)),
		fCreatedBy:  readOnly(reference("CreatedById", "Created By ID", "User", "CreatedBy")),
		fModified:   readOnly(typed(kDateTime, "LastModifiedDate", "Last Modified Date", 0)),
		fModifiedBy: readOnly(reference("LastModifiedById", "Last Modified By ID", "User", "LastModifiedBy")),
		fStamp:      readOnly(typed(kDateTime, "SystemModstamp", "System Modstamp", 0)),
	}
}

func address(prefix, label string) []*field {
	return []*field{
		typed(kTextArea, prefix+"Street", label+" Street", 255),
		text(prefix+"City", label+" City", 40),
		text(prefix+"State", label+" State/Province", 80),
		text(prefix+"PostalCode", label+" Zip/Postal Code", 20),
		text(prefix+"Country", label+" Country", 80),
	}
}

// contactSchema has the fields of the Contact object that sync products use, with
// the lengths of the Object Reference. MiddleName and Suffix are part of an
// organization once they are enabled in its user interface settings.
func contactSchema() *schema {
	description := typed(kTextArea, "Description", "Contact Description", 32000)
	description.unfilterable = true
	s := newSchema("Contact", "Contacts", "003", system()...)
	for _, f := range []*field{
		readOnly(reference("MasterRecordId", "Master Record ID", "Contact", "MasterRecord")),
		reference("AccountId", "Account ID", "Account", "Account"),
		required(text("LastName", "Last Name", 80)),
		text("FirstName", "First Name", 40),
		typed(kPicklist, "Salutation", "Salutation", 40),
		text("MiddleName", "Middle Name", 40),
		text("Suffix", "Suffix", 40),
		readOnly(text("Name", "Full Name", 121)),
		reference("OwnerId", "Owner ID", "User", "Owner"),
		reference("ReportsToId", "Reports To ID", "Contact", "ReportsTo"),
		typed(kPhone, "Phone", "Business Phone", 40),
		typed(kPhone, "Fax", "Business Fax", 40),
		typed(kPhone, "MobilePhone", "Mobile Phone", 40),
		typed(kPhone, "HomePhone", "Home Phone", 40),
		typed(kPhone, "OtherPhone", "Other Phone", 40),
		typed(kPhone, "AssistantPhone", "Asst. Phone", 40),
		text("AssistantName", "Assistant's Name", 40),
		typed(kEmail, "Email", "Email", 80),
		text("Title", "Title", 128),
		text("Department", "Department", 80),
		typed(kPicklist, "LeadSource", "Lead Source", 255),
		typed(kDate, "Birthdate", "Birthdate", 0),
		description,
		typed(kBoolean, "HasOptedOutOfEmail", "Email Opt Out", 0),
		typed(kBoolean, "DoNotCall", "Do Not Call", 0),
	} {
		s.add(f)
	}
	for _, f := range append(address("Mailing", "Mailing"), address("Other", "Other")...) {
		s.add(f)
	}
	return s
}

func accountSchema() *schema {
	description := typed(kTextArea, "Description", "Account Description", 32000)
	description.unfilterable = true
	s := newSchema("Account", "Accounts", "001", system()...)
	for _, f := range []*field{
		readOnly(reference("MasterRecordId", "Master Record ID", "Account", "MasterRecord")),
		required(text("Name", "Account Name", 255)),
		reference("OwnerId", "Owner ID", "User", "Owner"),
		typed(kPhone, "Phone", "Account Phone", 40),
		typed(kPhone, "Fax", "Account Fax", 40),
		typed(kURL, "Website", "Website", 255),
		typed(kPicklist, "Industry", "Industry", 255),
		description,
	} {
		s.add(f)
	}
	for _, f := range append(address("Billing", "Billing"), address("Shipping", "Shipping")...) {
		s.add(f)
	}
	return s
}

func userSchema() *schema {
	s := newSchema("User", "Users", "005", system()...)
	for _, f := range []*field{
		required(text("Username", "Username", 80)),
		required(text("LastName", "Last Name", 80)),
		text("FirstName", "First Name", 40),
		readOnly(text("Name", "Full Name", 121)),
		typed(kEmail, "Email", "Email", 128),
		text("Alias", "Alias", 8),
		text("Title", "Title", 80),
		typed(kBoolean, "IsActive", "Active", 0),
		typed(kPicklist, "UserType", "User Type", 40),
		typed(kPicklist, "TimeZoneSidKey", "Time Zone", 40),
		text("FederationIdentifier", "SAML Federation ID", 512),
	} {
		s.add(f)
	}
	s.byName["username"].unique = true
	s.byName["isdeleted"].removed = true
	s.readOnly = true
	return s
}

func organizationSchema() *schema {
	s := newSchema("Organization", "Organizations", "00D", system()...)
	for _, f := range []*field{
		required(text("Name", "Name", 80)),
		typed(kPicklist, "OrganizationType", "Edition", 40),
		typed(kBoolean, "IsSandbox", "Is Sandbox", 0),
		text("InstanceName", "Instance Name", 5),
		typed(kPicklist, "DefaultLocaleSidKey", "Locale", 40),
		typed(kPicklist, "TimeZoneSidKey", "Time Zone", 40),
		text("Country", "Country", 80),
	} {
		s.add(f)
	}
	s.byName["isdeleted"].removed = true
	s.readOnly = true
	return s
}

// CustomField is a field that an administrator added to Contact.
type CustomField struct {
	// Name ends in __c.
	Name   string
	Label  string
	Length int
	// URL makes it a field of type URL instead of text.
	URL bool
	// ExternalID makes it an external id that is unique without case.
	ExternalID bool
}

// DefaultCustomFields are the fields on Contact of a new organization: the stamp
// that a sync client writes, the id in the system that the data came from, and two
// that Salesforce has no standard field for.
func DefaultCustomFields() []CustomField {
	return []CustomField{
		{Name: "CrmSync_Stamp__c", Label: "Sync Stamp", Length: 255, ExternalID: true},
		{Name: "External_Id__c", Label: "External Id", Length: 64, ExternalID: true},
		{Name: "Website__c", Label: "Website", Length: 255, URL: true},
		{Name: "Nickname__c", Label: "Nickname", Length: 80},
	}
}

func (c CustomField) field() *field {
	f := text(c.Name, c.Label, c.Length)
	if c.URL {
		f.kind = kURL
	}
	f.custom, f.externalID, f.unique = true, c.ExternalID, c.ExternalID
	return f
}
