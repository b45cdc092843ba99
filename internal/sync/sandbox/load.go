package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
)

// load fills one side from a person's own file.
func (s *Sandbox) load(ctx context.Context, l load) (any, error) {
	w := s.world.Load()
	switch {
	case l.Side == CRM && isVCard(l.File):
		return nil, errors.New("the CRM is loaded from CSV, not from vCards")
	case l.Side == CRM:
		return w.loadCRM(ctx, l)
	case isVCard(l.File):
		return w.loadCards(ctx, l)
	}
	return w.loadMailbox(ctx, l)
}

func isVCard(file []byte) bool {
	head := strings.TrimSpace(strings.TrimPrefix(string(file[:min(len(file), 64)]), "\ufeff"))
	return len(head) >= 11 && strings.EqualFold(head[:11], "BEGIN:VCARD")
}

func (w *world) loadCRM(ctx context.Context, l load) (LoadResult, error) {
	var res LoadResult
	if l.User == "" {
		for _, p := range w.people() {
			if p.CRMUser != "" && p.MailboxID != "" {
				l.User = p.Email
				break
			}
		}
	}
	owner, err := w.crmUser(l.User)
	if err != nil {
		return res, err
	}
	columns, rows, problems, err := readTable(bytes.NewReader(l.File))
	if err != nil {
		return res, err
	}
	res.Unknown, res.Problems = unknownColumns(columns, CRM), problems
	seen := make(map[string]string)
	for _, c := range w.crm.Contacts() {
		if x := c.Fields["External_Id__c"]; x != "" && !c.Deleted {
			seen[strings.ToLower(x)] = c.ID
		}
	}
	outlook := isOutlook(columns)
	for _, row := range rows {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		f, err := row.fieldsOf(CRM, outlook)
		if err == nil && len(f) == 0 {
			continue // an empty line
		}
		key := strings.ToLower(f["External_Id__c"])
		id := seen[key]
		if err == nil {
			in, bad := w.crmFields(f)
			switch err = bad; {
			case err != nil:
			case key != "" && id != "":
				err = w.crm.UpdateContact(id, in)
			default:
				id, err = w.crm.CreateContact(owner, in)
			}
		}
		switch {
		case err != nil:
			res.Problems = append(res.Problems, RowProblem{Row: row.line, Message: err.Error()})
		case key != "" && seen[key] != "":
			res.Updated++
		default:
			res.Created++
			if key != "" {
				seen[key] = id
			}
		}
	}
	return res, nil
}

// mailFolder is where a load goes.
func (l load) mailFolder() string {
	if l.Folder == "" {
		return folderName
	}
	return l.Folder
}

func (w *world) loadMailbox(ctx context.Context, l load) (LoadResult, error) {
	var res LoadResult
	if _, err := w.graph.Folders(l.User); err != nil {
		return res, known(err)
	}
	columns, rows, problems, err := readTable(bytes.NewReader(l.File))
	if err != nil {
		return res, err
	}
	res.Unknown, res.Problems = unknownColumns(columns, Mailbox), problems
	outlook := isOutlook(columns)
	for _, row := range rows {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		f, err := row.fieldsOf(Mailbox, outlook)
		if err == nil && len(f) == 0 {
			continue // an empty line
		}
		w.addTo(&res, l, row.line, f, err)
	}
	return res, nil
}

func (w *world) loadCards(ctx context.Context, l load) (LoadResult, error) {
	var res LoadResult
	if _, err := w.graph.Folders(l.User); err != nil {
		return res, known(err)
	}
	cards, err := readCards(bytes.NewReader(bytes.TrimPrefix(l.File, []byte("\ufeff"))))
	if err != nil {
		res.Problems = append(res.Problems, RowProblem{Row: len(cards) + 1, Message: fmt.Sprintf("the file ends here: %v", err)})
	}
	for i, c := range cards {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		w.addTo(&res, l, i+1, c.fields, c.err)
	}
	return res, nil
}

func (w *world) addTo(res *LoadResult, l load, row int, f Fields, err error) {
	if err == nil {
		var props map[string]any
		if props, err = f.graph(nil); err == nil {
			_, err = createInMailbox(w.graph, l.User, l.mailFolder(), props)
		}
	}
	if err != nil {
		res.Problems = append(res.Problems, RowProblem{Row: row, Message: err.Error()})
		return
	}
	res.Created++
}
