package mutants

var mutants = []mutant{
	{
		name: "guard/never holds", file: "sync/reconcile/guard.go",
		old: `return n > l.Floor && (`, new: `return n > l.Floor && n < 0 && (`,
	},
	{
		name: "recovery/forgets the ids of writes that were given up", file: "sync/engine/recover.go",
		old: `s.Expired = append(s.Expired, i.Op)`, new: `s.Settled = append(s.Settled, i.Op)`,
	},
	{
		name: "apply/writes without a precondition", file: "sync/engine/apply.go",
		old: `Kind: remote.WriteKind(o.Kind), Version: o.Version,`, new: `Kind: remote.WriteKind(o.Kind),`,
	},
	{
		name: "feed/rides with a cursor that has gone on", file: "store/replicas.go",
		old: `entity = ?3 AND cursor = ?1)`, new: `entity = ?3 AND cursor <> '')`,
	},
}
