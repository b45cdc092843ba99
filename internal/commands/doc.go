// Package commands is the command line: flags in, one call, output.
//
// # How to add a command
//
// A command is three things in one file, named after its noun or after itself:
//
//   - an options struct that embeds the groups of options it needs: selectOptions
//     (who), outputOptions (how to print), writeOptions (--dry-run), bulkOptions
//     (--parallel, --max-failures), confirmOptions (--yes, --expect);
//   - newNounVerb(app, run), which declares the cobra command, its flags, Example text
//     and completion, and checks what was typed;
//   - runNounVerb(ctx, app, opts) error, which does it. run is injected by tests; nil
//     means runNounVerb.
//
// activity.go is the smallest complete example of a command that reads; sync.go has
// bulk verbs that write. A noun is made by newNoun, which gives it its plural and
// its singular; root.go lists the nouns, administration.go those of administration.
//
// What runX may use is in App: app.reading and app.writing open the state,
// app.systems the connections, app.actor names who acts. A verb that writes opens
// the state with app.stateFor(ctx, dryRun), or app.stateOfUsers if it makes no sense
// without users, and goes the whole way but the last call.
//
// What runX returns is an error, printed in one place. Return a *Error, made by
// fail(code, …), where the cause and the advice are known, else any error: explain
// in errors.go turns what connectors, the state and administration return into
// advice. A verb on many users collects a row for each and returns app.finish(rows).
// Its exit status follows from the rows.
//
// Tests walk the tree: a command without Short, Example, or, if it writes, without
// --dry-run does not pass. The fields that a command prints are pinned in a test.
package commands
