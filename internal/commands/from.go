package commands

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// userColumns are the names under which a column or a field names the user, the first
// that is there.
var userColumns = []string{"user", "email", "id", "crmUser", "mailboxId"}

// maxInput bounds in bytes what is read from standard input: no list of users is larger.
const maxInput = 256 << 20

// readFrom reads the names of users from --from: CSV or text apart by tabs with a
// header, JSON as this program prints it, or one name a line. A row that cannot be
// read is a failed row; what cannot be read at all is an error.
func (o *selectOptions) readFrom(app *App) (keys []string, bad []row, err error) {
	return o.parseFrom(app, o.column, "user")
}

// parseFrom reads the names that stand in a column of --from; what is the word for
// what they name.
func (o *selectOptions) parseFrom(app *App, column, what string) (keys []string, bad []row, err error) {
	name, text, err := o.input(app)
	if err != nil {
		return nil, nil, err
	}
	keys, bad, err = parseUsers(text, column)
	if err != nil {
		return nil, nil, fail(codeFile, name, err.Error())
	}
	for i := range bad {
		bad[i].Message = name + ": " + bad[i].Message
	}
	if len(keys) == 0 && len(bad) == 0 {
		return nil, nil, fail(codeEmpty, name, "holds no "+what)
	}
	return keys, bad, nil
}

// input returns the text of --from and what it is called. It is read once.
func (o *selectOptions) input(app *App) (name string, text []byte, err error) {
	name = o.from
	if name == "-" {
		name = "standard input"
	}
	switch {
	case o.text != nil:
		return name, o.text, nil
	case o.from != "-":
		text, err = os.ReadFile(name)
	case app.InTTY:
		return name, nil, fail(codeUsage, "", "--from - reads standard input, which is a terminal").do("pipe a list into the command")
	default:
		text, err = io.ReadAll(io.LimitReader(app.In, maxInput))
	}
	if err != nil {
		return name, nil, fail(codeFile, name, reason(err)).from(err)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // spreadsheets write it
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return name, nil, fail(codeFile, name, "the file is UTF-16 text").do("save it as CSV in UTF-8")
	}
	o.text = append([]byte{}, text...)
	return name, o.text, nil
}

// hasColumn tells whether text of any of the forms that --from knows has a column or a
// field of a name.
func hasColumn(text []byte, name string) bool {
	text = bytes.TrimLeft(text, " \r\n\t")
	var first map[string]any
	switch {
	case bytes.HasPrefix(text, []byte("[")):
		var list []map[string]any
		if json.Unmarshal(text, &list) == nil && len(list) > 0 {
			first = list[0]
		}
	case bytes.HasPrefix(text, []byte("{")):
		_ = json.NewDecoder(bytes.NewReader(text)).Decode(&first) // what is no JSON has no fields
	default:
		head, _, _ := bytes.Cut(text, []byte("\n"))
		return slices.ContainsFunc(cellsOf(string(head)), func(c string) bool { return strings.EqualFold(c, name) })
	}
	_, ok := first[name]
	return ok
}

// cellsOf returns what stands in a line of a table.
func cellsOf(line string) []string {
	cells := strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ';' || r == '\t' })
	for i, c := range cells {
		cells[i] = strings.Trim(strings.TrimSpace(c), `"`)
	}
	return cells
}

// parseUsers finds the users in text of any of the forms that --from knows.
func parseUsers(text []byte, column string) ([]string, []row, error) {
	first, _, _ := bytes.Cut(bytes.TrimLeft(text, " \r\n\t"), []byte("\n"))
	switch {
	case bytes.HasPrefix(first, []byte("[")):
		return usersOfJSON(text, column)
	case bytes.HasPrefix(first, []byte("{")):
		return usersOfJSONLines(text, column)
	case column != "" || isHeader(string(first)):
		return usersOfCSV(text, column)
	}
	return usersOfLines(text), nil, nil
}

// isHeader reports whether a line is the head of a table: it has a column that names
// users, and no address.
func isHeader(line string) bool {
	for _, name := range cellsOf(line) {
		if slices.ContainsFunc(userColumns, func(c string) bool { return strings.EqualFold(c, name) }) {
			return true
		}
	}
	return strings.ContainsAny(line, ",;\t") && !strings.Contains(line, "@")
}

func usersOfLines(text []byte) []string {
	var keys []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			keys = append(keys, line)
		}
	}
	return keys
}

func usersOfCSV(text []byte, column string) ([]string, []row, error) {
	head, _, _ := bytes.Cut(text, []byte("\n"))
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	switch {
	case bytes.ContainsRune(head, '\t'):
		r.Comma, r.LazyQuotes = '\t', true
	case bytes.ContainsRune(head, ';') && !bytes.ContainsRune(head, ','):
		r.Comma = ';'
	}
	names, err := r.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("line 1: %s", csvReason(err))
	}
	at, err := columnOf(names, column)
	if err != nil {
		return nil, nil, err
	}
	var keys []string
	var bad []row
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return keys, bad, nil
		}
		where := ""
		if len(cells) > 0 { // a broken row may have none
			line, _ := r.FieldPos(0)
			where = fmt.Sprintf("line %d", line)
		}
		var broken *csv.ParseError
		switch {
		case errors.As(err, &broken):
			bad = append(bad, failed(fmt.Sprintf("line %d", broken.StartLine), fail(codeBadRow, "", fmt.Sprintf("line %d: %s", broken.StartLine, csvReason(err)))))
		case err != nil:
			return nil, nil, err
		case at >= len(cells) || strings.TrimSpace(cells[at]) == "":
			bad = append(bad, failed(where, fail(codeBadRow, "", where+": the column "+names[at]+" is empty")))
		default:
			keys = append(keys, strings.TrimSpace(cells[at]))
		}
	}
}

// columnOf finds the column that names the user.
func columnOf(names []string, column string) (int, error) {
	wanted := userColumns
	if column != "" {
		wanted = []string{column}
	}
	for _, w := range wanted {
		at := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(strings.TrimSpace(n), w) })
		if at >= 0 {
			return at, nil
		}
	}
	return 0, fmt.Errorf("line 1: no column is called %s; there are %s", strings.Join(wanted, ", "), strings.Join(names, ", "))
}

func usersOfJSON(text []byte, column string) ([]string, []row, error) {
	var list []any
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, nil, fmt.Errorf("is not JSON: %w", err)
	}
	var keys []string
	var bad []row
	for i, v := range list {
		key, why := userOf(v, column)
		if why != "" {
			where := fmt.Sprintf("element %d", i+1)
			bad = append(bad, failed(where, fail(codeBadRow, "", where+": "+why)))
			continue
		}
		keys = append(keys, key)
	}
	return keys, bad, nil
}

func usersOfJSONLines(text []byte, column string) ([]string, []row, error) {
	var keys []string
	var bad []row
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var v any
		key, why := "", "is not JSON"
		if json.Unmarshal(line, &v) == nil {
			key, why = userOf(v, column)
		}
		if why != "" {
			where := fmt.Sprintf("line %d", n)
			bad = append(bad, failed(where, fail(codeBadRow, "", where+": "+why)))
			continue
		}
		keys = append(keys, key)
	}
	return keys, bad, lines.Err()
}

// userOf finds the user in one JSON value, or says why there is none.
func userOf(v any, column string) (key, why string) {
	if s, ok := v.(string); ok && s != "" {
		return s, ""
	}
	m, ok := v.(map[string]any)
	if !ok {
		return "", "is neither a user nor an object"
	}
	wanted := userColumns
	if column != "" {
		wanted = []string{column}
	}
	for _, name := range wanted {
		switch v := m[name].(type) {
		case string:
			if v != "" {
				return v, ""
			}
		case float64: // the number of a thing
			return strconv.FormatFloat(v, 'f', -1, 64), ""
		}
	}
	return "", "has no field " + strings.Join(wanted, ", ")
}

// reason is why a file could not be used, without its name.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// csvReason is what is wrong with a line, without its number.
func csvReason(err error) string {
	var broken *csv.ParseError
	if errors.As(err, &broken) {
		return broken.Err.Error()
	}
	return err.Error()
}
