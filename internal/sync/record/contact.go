package record

// The fields of a contact.
const (
	Salutation      Field = "salutation"
	GivenName       Field = "given_name"
	MiddleName      Field = "middle_name"
	FamilyName      Field = "family_name"
	Suffix          Field = "suffix"
	Nickname        Field = "nickname"
	Company         Field = "company"
	Department      Field = "department"
	JobTitle        Field = "job_title"
	EmailAddresses  Field = "emails"
	BusinessPhones  Field = "business_phones"
	HomePhones      Field = "home_phones"
	MobilePhone     Field = "mobile_phone"
	BusinessStreet  Field = "business_street"
	BusinessCity    Field = "business_city"
	BusinessState   Field = "business_state"
	BusinessZip     Field = "business_postal_code"
	BusinessCountry Field = "business_country"
	OtherStreet     Field = "other_street"
	OtherCity       Field = "other_city"
	OtherState      Field = "other_state"
	OtherZip        Field = "other_postal_code"
	OtherCountry    Field = "other_country"
	HomeStreet      Field = "home_street"
	HomeCity        Field = "home_city"
	HomeState       Field = "home_state"
	HomeZip         Field = "home_postal_code"
	HomeCountry     Field = "home_country"
	Birthday        Field = "birthday"
	Website         Field = "website"
	Notes           Field = "notes"
	Categories      Field = "categories"
)

// Kind says how the values of a field are normalised and compared.
type Kind int

// The kinds of a field.
const (
	// Line is one line of text.
	Line Kind = iota
	// Lines is text of several lines.
	Lines
	// Email is an e-mail address, compared without case.
	Email
	// Phone is a telephone number, compared in E.164 form where its region is known.
	Phone
	// Date is a calendar day without time or zone, written 2006-01-02.
	Date
)

// Spec describes one field of an entity.
type Spec struct {
	Field Field
	Kind  Kind
	// List marks a field of several elements that merge one by one.
	List bool
}

var contactSpecs = []Spec{
	{Field: Salutation}, {Field: GivenName}, {Field: MiddleName}, {Field: FamilyName},
	{Field: Suffix}, {Field: Nickname}, {Field: Company}, {Field: Department}, {Field: JobTitle},
	{Field: EmailAddresses, Kind: Email, List: true},
	{Field: BusinessPhones, Kind: Phone, List: true},
	{Field: HomePhones, Kind: Phone, List: true},
	{Field: MobilePhone, Kind: Phone},
	{Field: BusinessStreet, Kind: Lines}, {Field: BusinessCity}, {Field: BusinessState}, {Field: BusinessZip}, {Field: BusinessCountry},
	{Field: OtherStreet, Kind: Lines}, {Field: OtherCity}, {Field: OtherState}, {Field: OtherZip}, {Field: OtherCountry},
	{Field: HomeStreet, Kind: Lines}, {Field: HomeCity}, {Field: HomeState}, {Field: HomeZip}, {Field: HomeCountry},
	{Field: Birthday, Kind: Date},
	{Field: Website}, {Field: Notes, Kind: Lines},
	{Field: Categories, List: true},
}

var contactSpecByField = func() map[Field]Spec {
	m := make(map[Field]Spec, len(contactSpecs))
	for _, s := range contactSpecs {
		m[s.Field] = s
	}
	return m
}()

// Specs returns the fields of an entity in the order in which a person reads them.
func Specs(e Entity) []Spec {
	if e == Contacts {
		return contactSpecs
	}
	return nil
}

// SpecOf returns the description of a field; an unknown field is one line of text.
func SpecOf(f Field) Spec {
	if s, ok := contactSpecByField[f]; ok {
		return s
	}
	return Spec{Field: f}
}
