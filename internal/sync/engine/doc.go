// Package engine runs the cycles: lease, recover, prepare, read, reconcile, guard,
// apply, commit, close. It decides nothing about records (reconcile does) and knows
// no vendor (connectors do) and no database (the store does): it carries the plan out
// so that a crash at any line costs nothing but time.
//
// The rules that keep that promise:
//
//   - A user's cycle runs under his lease, one at a time, and the state takes nothing
//     from a cycle that has lost it.
//   - A write is intended (Intend) before it is sent and settled (Settle) after its
//     answer. What has no clear answer stays intended; the next cycle looks at the
//     item, which bears the operation's id, to find out.
//   - A cursor moves in the last settlement of a cycle, and only if everything before
//     it is applied, held or named by an issue. Otherwise the same changes are read
//     again, and the links make that harmless.
//   - Nothing is taken for deleted without proof: absence and hints are looked up.
package engine
