package admin

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// How a file of users is read:
//
//   - The first line names the columns: user, email or id says who; name, org and plan
//     say the rest; all others are ignored, so that what any command prints is good.
//   - A file of one column may have no such line.
//   - Columns are separated by commas or, if the first line has none, by semicolons or
//     tabs, as spreadsheets write them.
//   - A row that cannot be read is reported by its line, and the rest is read.

// ReadUsers reads users from a CSV file. It returns the rows that can be meant, an
// outcome for each of the others, and an error if the file as a whole is none.
func ReadUsers(r io.Reader) (good []NewUser, bad []Outcome, err error) {
	in := bufio.NewReader(r)
	if err := skipMark(in); err != nil {
		return nil, nil, err
	}
	rows := csv.NewReader(in)
	rows.Comma = separator(in)
	rows.FieldsPerRecord = -1
	rows.TrimLeadingSpace = true
	var columns map[string]int
	var list []NewUser
	for {
		cells, err := rows.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			fine, more := CheckNewUsers(list)
			return fine, append(bad, more...), nil
		case errors.As(err, &broken):
			bad = append(bad, badOutcome("", broken.StartLine, badRow("cannot be read: %v", broken.Err)))
			continue
		case err != nil:
			return nil, nil, err
		}
		line, _ := rows.FieldPos(0)
		if columns == nil {
			var header bool
			if columns, header, err = columnsOf(cells); err != nil {
				return nil, nil, err
			}
			if header {
				continue
			}
		}
		if !utf8.ValidString(strings.Join(cells, "")) {
			bad = append(bad, badOutcome("", line, badRow("is not UTF-8 text")))
			continue
		}
		list = append(list, newUser(cells, columns, line))
	}
}

// skipMark skips a byte order mark, and refuses the marks of encodings that we do
// not read.
func skipMark(in *bufio.Reader) error {
	head, err := in.Peek(3)
	if len(head) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case string(head) == "\xef\xbb\xbf":
		_, err := in.Discard(3)
		return err
	case strings.HasPrefix(string(head), "\xff\xfe"), strings.HasPrefix(string(head), "\xfe\xff"):
		return &Error{Kind: Invalid, Code: CodeRowInvalid, Message: "the file is UTF-16 text: save it as CSV in UTF-8"}
	}
	return nil
}

// separator guesses from the first line what separates the columns.
func separator(in *bufio.Reader) rune {
	head, _ := in.Peek(in.Size())
	line, _, _ := strings.Cut(string(head), "\n")
	for _, r := range ",;\t" {
		if strings.ContainsRune(line, r) {
			return r
		}
	}
	return ','
}

// columnsOf finds the columns by the names in the first row, or takes the only
// column for the users.
func columnsOf(cells []string) (columns map[string]int, header bool, err error) {
	columns = map[string]int{}
	for i, c := range cells {
		name := strings.ToLower(strings.TrimSpace(c))
		if _, twice := columns[name]; !twice {
			columns[name] = i
		}
	}
	for _, name := range keyColumns {
		if _, ok := columns[name]; ok {
			return columns, true, nil
		}
	}
	if len(cells) > 1 {
		return nil, false, &Error{
			Kind: Invalid, Code: CodeRowInvalid,
			Message: fmt.Sprintf("the first line names no column %s", strings.Join(keyColumns, ", ")),
			Fix:     "begin the file with a line such as: email,name,org,plan",
		}
	}
	return map[string]int{"user": 0}, false, nil
}

var keyColumns = []string{"user", "email", "id"}

func newUser(cells []string, columns map[string]int, line int) NewUser {
	cell := func(name string) string {
		i, ok := columns[name]
		if !ok || i >= len(cells) {
			return ""
		}
		return strings.TrimSpace(cells[i])
	}
	n := NewUser{Name: cell("name"), Org: cell("org"), Plan: cell("plan"), Line: line}
	for _, name := range keyColumns {
		if n.Key == "" {
			n.Key = cell(name)
		}
	}
	return n
}
