package sandbox

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// A CSV file is a table with a header. Which column holds what is told by its name:
// the API names of Salesforce with and without the __c of custom fields, the names
// that Outlook gives its export, and the short names in between. What is not known is
// reported, never guessed.

// tableRow is one record of a CSV file: cells by column name in the folded form.
type tableRow struct {
	// line is where the record begins in the file, from 1.
	line  int
	cells map[string]string
}

// readTable reads a whole CSV file. Files that are not UTF-8 are taken for
// Windows-1252, which is what Outlook writes.
func readTable(r io.Reader) (columns []string, rows []tableRow, problems []RowProblem, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, nil, err
	}
	text = []byte(strings.TrimPrefix(string(text), "\ufeff"))
	if !utf8.Valid(text) {
		if text, err = charmap.Windows1252.NewDecoder().Bytes(text); err != nil {
			return nil, nil, nil, err
		}
	}
	c := csv.NewReader(strings.NewReader(string(text)))
	c.FieldsPerRecord = -1
	first, _, _ := strings.Cut(string(text), "\n")
	if strings.Count(first, ";") > strings.Count(first, ",") {
		c.Comma = ';'
	}
	columns, err = c.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, nil, errors.New("the file is empty")
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("the file is not CSV: %w", err)
	}
	for {
		rec, err := c.Read()
		if errors.Is(err, io.EOF) {
			return columns, rows, problems, nil
		}
		if err != nil {
			var bad *csv.ParseError
			if !errors.As(err, &bad) {
				return nil, nil, nil, err
			}
			problems = append(problems, RowProblem{Row: bad.StartLine, Message: bad.Err.Error()})
			continue
		}
		line, _ := c.FieldPos(0)
		if len(rec) > len(columns) {
			problems = append(problems, RowProblem{Row: line, Message: fmt.Sprintf("%d cells in a table of %d columns", len(rec), len(columns))})
			continue
		}
		row := tableRow{line: line, cells: make(map[string]string, len(rec))}
		for i, v := range rec {
			if v = strings.TrimSpace(v); v != "" {
				row.cells[foldColumn(columns[i])] = v
			}
		}
		rows = append(rows, row)
	}
}

// foldColumn returns the form in which column names are compared: lower case, letters
// and digits alone, without the ending of a custom field.
func foldColumn(name string) string {
	name = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), "__c")
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" _-./'", r) {
			return -1
		}
		return r
	}, name)
}

// place says where the cells of a column go.
type place struct {
	// columns are the names of the column.
	columns []string
	// crm and mailbox are the names of the field on either side; an empty one has none.
	// A field name is repeated for the slots of a list.
	crm, mailbox string
}

// places are all columns that are known. The first names are those of our own sample
// files and of Salesforce, the later ones those of Outlook's export.
var places = []place{
	{[]string{"External_Id"}, "External_Id__c", ""},
	{[]string{"Salutation"}, "Salutation", "title"},
	{[]string{"FirstName", "First Name", "Given Name"}, "FirstName", "givenName"},
	{[]string{"MiddleName", "Middle Name"}, "MiddleName", "middleName"},
	{[]string{"LastName", "Last Name", "Surname"}, "LastName", "surname"},
	{[]string{"Suffix"}, "Suffix", "generation"},
	{[]string{"Nickname"}, "Nickname__c", "nickName"},
	{[]string{"Title", "Job Title"}, "Title", "jobTitle"},
	{[]string{"Account", "Company", "Account Name"}, "Account", "companyName"},
	{[]string{"Department"}, "Department", "department"},
	{[]string{"Email", "E-mail Address", "E-mail 1 Address"}, "Email", "emailAddresses"},
	{[]string{"E-mail 2 Address"}, "", "emailAddresses"},
	{[]string{"E-mail 3 Address"}, "", "emailAddresses"},
	{[]string{"Phone", "Business Phone"}, "Phone", "businessPhones"},
	{[]string{"Business Phone 2", "OtherPhone", "Other Phone"}, "OtherPhone", "businessPhones"},
	{[]string{"MobilePhone", "Mobile Phone"}, "MobilePhone", "mobilePhone"},
	{[]string{"HomePhone", "Home Phone"}, "HomePhone", "homePhones"},
	{[]string{"Home Phone 2"}, "", "homePhones"},
	{[]string{"Fax", "Business Fax"}, "Fax", ""},
	{[]string{"MailingStreet", "Business Street"}, "MailingStreet", "businessAddress.street"},
	{[]string{"MailingCity", "Business City"}, "MailingCity", "businessAddress.city"},
	{[]string{"MailingState", "Business State"}, "MailingState", "businessAddress.state"},
	{[]string{"MailingPostalCode", "Business Postal Code"}, "MailingPostalCode", "businessAddress.postalCode"},
	{[]string{"MailingCountry", "Business Country/Region", "Business Country"}, "MailingCountry", "businessAddress.countryOrRegion"},
	{[]string{"OtherStreet", "Other Street"}, "OtherStreet", "otherAddress.street"},
	{[]string{"OtherCity", "Other City"}, "OtherCity", "otherAddress.city"},
	{[]string{"OtherState", "Other State"}, "OtherState", "otherAddress.state"},
	{[]string{"OtherPostalCode", "Other Postal Code"}, "OtherPostalCode", "otherAddress.postalCode"},
	{[]string{"OtherCountry", "Other Country/Region", "Other Country"}, "OtherCountry", "otherAddress.countryOrRegion"},
	{[]string{"Home Street"}, "", "homeAddress.street"},
	{[]string{"Home City"}, "", "homeAddress.city"},
	{[]string{"Home State"}, "", "homeAddress.state"},
	{[]string{"Home Postal Code"}, "", "homeAddress.postalCode"},
	{[]string{"Home Country/Region", "Home Country"}, "", "homeAddress.countryOrRegion"},
	{[]string{"Birthdate", "Birthday"}, "Birthdate", "birthday"},
	{[]string{"Website", "Web Page"}, "Website__c", "businessHomePage"},
	{[]string{"Description", "Notes"}, "Description", "personalNotes"},
	{[]string{"Categories"}, "", "categories"},
	{[]string{"LeadSource"}, "LeadSource", ""},
}

// room is how many elements the lists of a mailbox contact have room for.
var room = map[string]int{"emailAddresses": 3, "businessPhones": 2, "homePhones": 2}

// fieldsOf reads the cells of a row that the side has a field for. Where two columns
// fill one field, the first named in places wins on the CRM's side; on the mailbox's
// side lists are filled in that order.
func (t tableRow) fieldsOf(side Side, outlook bool) (Fields, error) {
	out := make(Fields)
	for _, p := range places {
		name := p.crm
		if side == Mailbox {
			name = p.mailbox
		}
		if name == "" {
			continue
		}
		for _, column := range p.columns {
			if outlook && column == "Title" {
				continue // Outlook's Title is the salutation; its Job Title is the title
			}
			v := t.cells[foldColumn(column)]
			if v == "" {
				continue
			}
			if p.columns[0] == "Birthdate" {
				d, err := readDate(v)
				if err != nil {
					return nil, err
				}
				if v = d; v == "" {
					continue
				}
			}
			have := out[name]
			switch n := room[name]; {
			case side == Mailbox && n > 0 && have != "":
				if list := split(have); len(list) < n && !slices.Contains(list, v) {
					out[name] = have + "; " + v
				}
			case have == "":
				out[name] = v
			}
		}
	}
	if outlook {
		name := map[Side]string{CRM: "Salutation", Mailbox: "title"}[side]
		if v := t.cells["title"]; v != "" && out[name] == "" {
			out[name] = v
		}
	}
	return out, nil
}

// readDate reads a day as tables write it: 2006-01-02, or 1/2/2006 as the American
// Outlook does; 0/0/00 is its way of saying none.
func readDate(v string) (string, error) {
	if len(v) >= 10 && v[4] == '-' {
		return v[:10], nil
	}
	var month, day, year int
	if _, err := fmt.Sscanf(v, "%d/%d/%d", &month, &day, &year); err == nil {
		if month == 0 {
			return "", nil
		}
		return fmt.Sprintf("%04d-%02d-%02d", year, month, day), nil
	}
	var d, m, y int
	if _, err := fmt.Sscanf(v, "%d.%d.%d", &d, &m, &y); err == nil {
		return fmt.Sprintf("%04d-%02d-%02d", y, m, d), nil
	}
	return "", fmt.Errorf("the date %q is not understood", v)
}

// isOutlook tells an export of Outlook from a table of CRM fields.
func isOutlook(columns []string) bool {
	return slices.ContainsFunc(columns, func(c string) bool {
		f := foldColumn(c)
		return f == "jobtitle" || f == "emailaddress" || f == "businessstreet"
	})
}

// unknownColumns are those whose cells have no place on the side.
func unknownColumns(columns []string, side Side) []string {
	var out []string
	for _, c := range columns {
		known := slices.ContainsFunc(places, func(p place) bool {
			name := p.crm
			if side == Mailbox {
				name = p.mailbox
			}
			return name != "" && slices.ContainsFunc(p.columns, func(n string) bool { return foldColumn(n) == foldColumn(c) })
		})
		if !known {
			out = append(out, c)
		}
	}
	return out
}
