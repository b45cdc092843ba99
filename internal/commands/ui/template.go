package ui

import (
	"text/template"
	"text/template/parse"
)

// fieldsOf returns the fields of a row that a template names, so that a name which
// does not exist is refused before any work is done. What is inside of range and with
// is about something else than the row, unless it begins with $.
func fieldsOf(t *template.Template) []string {
	if t.Tree == nil {
		return nil // nothing but definitions
	}
	var names []string
	var walk func(n parse.Node, row bool)
	branch := func(b *parse.BranchNode, row, inside bool) {
		walk(b.Pipe, row)
		walk(b.List, inside)
		if b.ElseList != nil {
			walk(b.ElseList, row)
		}
	}
	walk = func(n parse.Node, row bool) {
		switch n := n.(type) {
		case *parse.ListNode:
			for _, x := range n.Nodes {
				walk(x, row)
			}
		case *parse.ActionNode:
			walk(n.Pipe, row)
		case *parse.PipeNode:
			for _, c := range n.Cmds {
				for _, arg := range c.Args {
					walk(arg, row)
				}
			}
		case *parse.IfNode:
			branch(&n.BranchNode, row, row)
		case *parse.RangeNode:
			branch(&n.BranchNode, row, false)
		case *parse.WithNode:
			branch(&n.BranchNode, row, false)
		case *parse.ChainNode:
			walk(n.Node, row)
		case *parse.FieldNode:
			if row {
				names = append(names, n.Ident[0])
			}
		case *parse.VariableNode:
			if n.Ident[0] == "$" && len(n.Ident) > 1 {
				names = append(names, n.Ident[1])
			}
		}
	}
	walk(t.Root, true)
	return names
}
