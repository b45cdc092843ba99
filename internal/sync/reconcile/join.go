package reconcile

// Join completes a link after both of its operations of one plan, o and other, have been
// applied. Where both write the same list, neither alone moves the base of that field:
// done alone, the rest of the work must still be seen as undone. Without Join nothing is
// lost: the next plan settles the field.
func (l *Link) Join(o, other Operation) {
	for _, op := range []Operation{o, other} {
		h := l.Half(op.Side)
		h.Base = overlay(h.Base, op.Joint)
	}
}

// Moved returns a link with the bases moved by an operation that was applied.
func (l Link) Moved(o Operation) Link {
	l.CRM.Base = overlay(l.CRM.Base, o.MoveCRM)
	l.Mailbox.Base = overlay(l.Mailbox.Base, o.MoveMailbox)
	return l
}
