// Package m365 is a server that speaks enough of Microsoft Entra and Microsoft Graph
// v1.0 for the contacts of many mailboxes to be synchronized with it: the sandbox's
// Microsoft 365. It imports nothing of this project, so that a connector which passes
// against it was not checked against its own mistakes.
//
// The rules that it keeps, so that what goes wrong against the real service goes wrong
// here too:
//
//   - What a request changed is in the journal before the answer is sent.
//   - The same seed and the same requests in the same order give the same answers.
//   - Where Microsoft documents a behaviour, the server does that. Where people have
//     only reported one, it does what was reported. Where nothing is known, it takes
//     the stricter reading, so that a client which passes here asks less than the real
//     service may give. Each such place names its source or says that it is assumed.
//   - What it does not know it refuses with 400 or 404; it never ignores a query option
//     or a property.
//   - Time comes from Options.Now alone, and waiting goes through Options.Wait.
//
// In comments, D/path is a file of github.com/microsoftgraph/microsoft-graph-docs-contrib,
// docs#n an issue of microsoftgraph/microsoft-graph-docs and contrib#n one of
// microsoftgraph/microsoft-graph-docs-contrib.
package m365
