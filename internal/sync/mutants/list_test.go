package mutants

// The bugs, by the protection that they switch off. Those of reliability engineering's
// usual list are all here: conditional writes, intents, operation ids, the guard, echoes.
var mutants = []mutant{
	// What a change means.
	{
		name: "merge/whole item wins", file: "sync/reconcile/merge.go",
		old: `	case !changed[mailbox]:
		return p.overwrite(pr, f, crm, false)`, new: `	case !changed[mailbox] || pr.item[crm] != nil && f.Conflict == CRMWins:
		return p.overwrite(pr, f, crm, false)`,
	},
	{
		name: "merge/the mailbox wins a conflict", file: "sync/reconcile/merge.go",
		old: `	w := p.winner(pr, f.Conflict)
`, new: `	w := 1 - max(p.winner(pr, f.Conflict), 0)
`,
	},
	{
		name: "merge/the loser of a conflict is not kept", file: "sync/reconcile/merge.go",
		old: `			v.conflict, v.winner = true, winner
`, new: `			v.winner = winner
`,
	},
	{
		name: "merge/newest takes any difference of two clocks", file: "sync/reconcile/merge.go",
		old: `const settlingTime = time.Minute`, new: `const settlingTime = -time.Hour`,
	},
	{
		name: "merge/the base of the other side stays behind", file: "sync/reconcile/merge.go",
		old: `		o.MoveCRM[f.Field], o.MoveMailbox[f.Field] = v.base[crm], v.base[mailbox]
	}
	link.CRM.Base = overlay(link.CRM.Base, o.MoveCRM)
	link.Mailbox.Base = overlay(link.Mailbox.Base, o.MoveMailbox)
	o.Link = link
	o.Reason`, new: `		o.MoveCRM[f.Field], o.MoveMailbox[f.Field] = pr.base(crm, f.Field), v.base[mailbox]
	}
	link.CRM.Base = overlay(link.CRM.Base, o.MoveCRM)
	link.Mailbox.Base = overlay(link.Mailbox.Base, o.MoveMailbox)
	o.Link = link
	o.Reason`,
	},
	{
		name: "merge/what a side cannot hold is taken for cleared", file: "sync/reconcile/merge.go",
		old: `	v.set[loser], v.base[loser] = p.fitted(f, loser, value, v.base[winner])
`, new: `	v.set[loser], v.base[loser] = value, v.base[winner]
`,
	},
	{
		name: "merge/on hold, the base moves", file: "sync/reconcile/merge.go",
		old: `		return verdict{conflict: true, winner: w, lost: m, kept: c}
`, new: `		v := asIs
		v.conflict, v.winner, v.lost, v.kept = true, w, m, c
		return v
`,
	},
	{
		name: "lists/an element that one side removed comes back", file: "sync/reconcile/merge.go",
		old: `	if f.list && f.both() {
		return p.judgeList(pr, f)
	}
`, new: ``,
	},
	{
		name: "decide/an edit does not win over a delete in the CRM", file: "sync/reconcile/decide.go",
		old: `	case is(c, Deleted) && is(m, Present) && p.changed(m, l.Mailbox.Base):
		p.decideOrphan(l, m)
`, new: ``,
	},
	{
		name: "decide/an edit does not win over a delete in the mailbox", file: "sync/reconcile/decide.go",
		old: `	edited := is(c, Present) && p.changed(c, l.CRM.Base)
`, new: `	edited := false
`,
	},
	{
		name: "decide/an unseen edit goes with a record out of scope", file: "sync/reconcile/decide.go",
		old: `	case is(c, OutOfScope) && is(m, Present) && p.changed(m, l.Mailbox.Base):
`, new: `	case false:
`,
	},
	{
		name: "decide/moved out of the folder is deleted in the CRM", file: "sync/reconcile/decide.go",
		old: `		p.end(l, Unlinked, "moved out of our folder in the mailbox; both stay as they are")
`, new: `		p.remove(l, crm, c, "moved out of our folder in the mailbox; both stay as they are")
`,
	},
	{
		name: "decide/a delete in the mailbox always reaches the CRM", file: "sync/reconcile/decide.go",
		old: `	case p.in.Policy.DeletesFromMailbox == Propagate:
`, new: `	case p.in.Policy.DeletesFromMailbox != Recreate:
`,
	},
	{
		name: "decide/a tombstone does not absorb a replay", file: "sync/reconcile/decide.go",
		old: `	return it.Version != "" && it.Version == h.Version && !p.changed(it, h.Base)
`, new: `	return false
`,
	},
	{
		name: "decide/an unlinked record is created again", file: "sync/reconcile/decide.go",
		old: `!p.open[mailbox] || p.in.Policy.DeletesFromMailbox != Recreate || !p.changed(c, l.CRM.Base) {`,
		new: `!p.open[mailbox] || !p.changed(c, l.CRM.Base) {`,
	},

	// Who belongs to whom.
	{
		name: "match/an ambiguous person is created", file: "sync/reconcile/match.go",
		old: `	for _, a := range aside {
		a.settled = true
	}
`, new: ``,
	},
	{
		name: "match/the stamp means nothing", file: "sync/reconcile/match.go",
		old: `		m.byStamp()
`, new: ``,
	},
	{
		name: "match/one candidate on one side is enough", file: "sync/reconcile/match.go",
		old: `b != nil && only[b] == a {`, new: `b != nil && !b.settled {`,
	},
	{
		name: "match/a copy of a stamped item is the item", file: "sync/reconcile/sweep.go",
		old: `		p.unstamp(it) // a person's copy
		free()
`, new: `		p.removeTwin(it, "a copy")
`,
	},

	// Late writes.
	{
		name: "sweep/a late twin stays", file: "sync/reconcile/sweep.go",
		old: `	case l.State == Linked && late && l.Half`, new: `	case l.State == Linked && late && it == nil && l.Half`,
	},
	{
		name: "sweep/the edits of a late twin go with it", file: "sync/reconcile/sweep.go",
		old: `		case !p.changed(twin, sent) || is(it[i], Present) && !p.changed(twin, p.hash(it[i])):
`, new: `		case true:
`,
	},

	// The guard.
	{
		name: "guard/never holds", file: "sync/reconcile/guard.go",
		old: `return n > l.Floor && (`, new: `return n > l.Floor && n < 0 && (`,
	},
	{
		name: "guard/the floor is a limit too", file: "sync/reconcile/guard.go",
		old: `return n > l.Floor && (`, new: `return n > l.Floor || (`,
	},
	{
		name: "guard/no ceiling", file: "sync/reconcile/guard.go",
		old: `|| n > l.Ceiling)`, new: `)`,
	},
	{
		name: "read/an empty listing is believed", file: "sync/engine/read.go",
		old: `	if !got.empty {
`, new: `	if true {
`,
	},
	{
		name: "read/absence is a delete", file: "sync/engine/read.go",
		old: `			if ours {
				look = append(look, ch.Item.ID)
			}
`, new: `			if ours {
				out = append(out, reconcile.Change{Kind: reconcile.Deleted, ID: ch.Item.ID})
			}
`,
	},
	{
		name: "read/another owner's record stays in the mailbox", file: "sync/engine/read.go",
		old: `		case side == record.CRM && ch.Item.Owner != c.m.User.CRMUser:
`, new: `		case false:
`,
	},
	{
		name: "read/a merged record is a deleted one", file: "sync/engine/read.go",
		old: `		l.CRM.ID, l.CRM.Version = to, ""
		byID[to] = l
		s.Remove = append(s.Remove, ch.Item.ID)
		s.Links = append(s.Links, l)
`, new: `		_ = to
`,
	},

	// Crash safety.
	{
		name: "recovery/forgets the ids of writes that were given up", file: "sync/engine/recover.go",
		old: `s.Expired = append(s.Expired, i.Op)`, new: `s.Settled = append(s.Settled, i.Op)`,
	},
	{
		name: "recovery/takes every write for lost", file: "sync/engine/recover.go",
		old: `			if landed[n] == nil {
`, new: `			if landed[n] == nil || true {
`,
	},
	{
		name: "recovery/takes every update for applied", file: "sync/engine/recover.go",
		old: `			if got.Err == nil && c.bears(side, got.Item, i) {
`, new: `			if got.Err == nil {
`,
	},
	{
		name: "recovery/does not move the base", file: "sync/engine/recover.go",
		old: `			c.links[l.CRM.ID], moved[l.CRM.ID] = l, l
`, new: `			c.links[l.CRM.ID] = l
`,
	},
	{
		name: "apply/no intents", file: "sync/engine/apply.go",
		old: `		if a.sent && !remote.IsUnclear(err) {
`, new: `		if a.sent {
`,
	},
	{
		name: "apply/writes without a precondition", file: "sync/engine/apply.go",
		old: `Kind: remote.WriteKind(o.Kind), Version: o.Version,`, new: `Kind: remote.WriteKind(o.Kind),`,
	},
	{
		name: "apply/the stamp names no operation", file: "sync/engine/apply.go",
		old: `	s := record.Stamp{Install: c.e.Install, Entity: c.entity, Op: op, Other: o.CRMID}
`, new: `	s := record.Stamp{Install: c.e.Install, Entity: c.entity, Op: "0", Other: o.CRMID}
`,
	},
	{
		name: "apply/a record that changed meanwhile is forgotten", file: "sync/engine/apply.go",
		old: `			c.again[o.CRMID+"\x00"+o.MailboxID] = o
`, new: ``,
	},
	{
		name: "apply/two writes of one list move the base too early", file: "sync/reconcile/merge.go",
		old: `			o.Joint[f.Field] = v.base[side]
			continue
`, new: `			o.Joint[f.Field] = v.base[side]
`,
	},
	{
		name: "echo/new versions are not noted", file: "sync/engine/apply.go",
		old: `	links = append(links, c.newVersions(in, decided)...)
`, new: ``,
		equivalent: "the last look reads the version of whatever is written",
	},

	// Cursors.
	{
		name: "cursor/moves before the writes", file: "sync/engine/cycle.go",
		old: `	err := errors.Join(c.stop[record.CRM], c.stop[record.Mailbox])
	if err != nil {
		return err
	}
`, new: `	_ = errors.Join
`,
	},
	{
		name: "cursor/nobody is left behind", file: "sync/engine/crmfeed.go",
		old: `			behind[u] = f.start
`, new: `			delete(behind, u)
`,
	},
	{
		name: "cursor/a lost feed leaves nobody behind", file: "sync/engine/crmfeed.go",
		old: `				behind[m.User.ID] = needsFullRead
`, new: `				delete(behind, m.User.ID)
`,
	},
	{
		name: "cursor/rides with one that has gone on", file: "store/replicas.go",
		old: `entity = ?3 AND cursor = ?1)`, new: `entity = ?3 AND cursor <> '')`,
	},
	{
		name: "cursor/a full read does not look for what is missing", file: "sync/engine/read.go",
		old: `			if _, there := last[id]; !there && id != "" && l.State == reconcile.Linked {
`, new: `			if _, there := last[id]; !there && id == "none" && l.State == reconcile.Linked {
`,
	},

	// One cycle at a time.
	{
		name: "lease/no fence", file: "store/leases.go",
		old: `		if !held {
			return engine.ErrLeaseLost
		}
`, new: `		_ = held
`,
	},

	// The audit.
	{
		name: "audit/compares nothing", file: "sync/engine/audit.go",
		old: `	return c.policy.Changed(c.hasher.Record(c.read1(side, got.Item)), h.Base)
`, new: `	return false
`,
	},
	{
		name: "audit/mends without a report", file: "sync/engine/audit.go",
		old: `	c.missed = len(missed)
`, new: ``,
	},

	// Held deletes, other rules, and the limit of a run.
	{
		name: "held/a decision to keep is not heard", file: "sync/reconcile/decide.go",
		old: `	return p.in.Discarded[DeleteKey{Side: sides[side], CRMID: l.CRM.ID, MailboxID: l.Mailbox.ID}]
`, new: `	return false
`,
	},
	{
		name: "held/what waits is forgotten", file: "sync/reconcile/guard.go",
		old: `		case g.Waiting[k] != "":
			return g.Waiting[k]
`, new: ``,
	},
	{
		name: "held/other rules hold nothing", file: "sync/reconcile/guard.go",
		old: `		case g.NewRules:
			return HeldByRules
`, new: ``,
	},
	{
		name: "rules/are always the same", file: "sync/engine/ruleset.go",
		old: `r.Rules != "" && r.Rules != now }`, new: `r.Rules != "" && r.Rules == "" }`,
	},
	{
		name: "run guard/does not count", file: "sync/engine/runguard.go",
		old: `	if !full {
		g.planned += n
	}
`, new: ``,
	},
	{
		name: "run guard/does not hear the feeds", file: "sync/engine/runguard.go",
		old: `			g.told[loss{ch.Item.ID, u}] = true
`, new: ``,
	},

	// The last look, undo, kept plans.
	{
		name: "look/does not compare", file: "sync/engine/look.go",
		old: `	if now.Kind != reconcile.Present || c.policy.Changed(c.hasher.Record(now.Record), expected) {
`, new: `	if now.Kind != reconcile.Present || expected == nil && c.policy.Changed(c.hasher.Record(now.Record), expected) {
`,
	},
	{
		name: "look/keeps no image", file: "sync/engine/look.go",
		old: `			if v := a.held[f]; len(v) > 0 {
`, new: `			if v := a.held[f]; len(v) > 99 {
`,
	},
	{
		name: "undo/an edit since is taken back too", file: "sync/reconcile/undo.go",
		old: `		if !same(u.in.Hasher.Value(f, now[f]), w.Left[f]) {
`, new: `		if false {
`,
	},
	{
		name: "undo/an edited item that was created goes", file: "sync/reconcile/undo.go",
		old: `		if u.in.Policy.Changed(u.in.Hasher.Record(now), w.Left) {
`, new: `		if false {
`,
	},
	{
		name: "plan/a kept one binds nobody", file: "sync/engine/plan.go",
		old: `	if fault == nil {
		return nil
	}
	c.session.Differences = diffs
`, new: `	if fault == nil || len(diffs) >= 0 {
		return nil
	}
	c.session.Differences = diffs
`,
	},
	{
		name: "plan/a change is no difference", file: "sync/engine/kept.go",
		old: `		case n.Digest != s.Digest:
`, new: `		case false:
`,
	},

	// The error ladder.
	{
		name: "ladder/a failing user is never suspended", file: "sync/engine/verdict.go",
		old: `		if o.Failures >= maxFailedCycles {
`, new: `		if o.Failures >= maxFailedCycles && o.Failures < 0 {
`,
	},
	{
		name: "ladder/pressure suspends at once", file: "sync/engine/verdict.go",
		old: `	if lasts >= maxPressure {
`, new: `	if lasts >= 0 {
`,
	},
	{
		name: "ladder/an issue is tried for ever", file: "sync/engine/due.go",
		old: `	case attempts >= maxAttempts:
		return time.Time{}, true
`, new: ``,
	},

	// First syncs.
	{
		name: "first/what was left out comes in with the overlap", file: "sync/reconcile/match.go",
		old: `		before, ok := p.in.LeftOut[it.ID]
`, new: `		before, ok := p.in.LeftOut["no "+it.ID]
`,
	},
	{
		name: "first/writes to the CRM unasked", file: "sync/engine/decide.go",
		old: `	if c.policy.CreateInCRM {
		return p
	}
	ops := p.Ops[:0:0]
`, new: `	if c.policy.CreateInCRM || len(p.Ops) > 0 {
		return p
	}
	ops := p.Ops[:0:0]
`,
	},
}
