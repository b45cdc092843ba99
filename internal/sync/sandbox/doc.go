// Package sandbox is the embedded CRM and mail system: a Salesforce organization and
// a Microsoft 365 tenant on loopback, seeded with people and contacts, for trying
// the product without an account anywhere, and the bench on which it is tested.
//
// The rules of a sandbox:
//
//   - It lives in one directory. What it acknowledged is in that directory, so that it
//     can be killed at any moment and started again with nothing lost.
//   - It listens on loopback only, and on the same ports after a restart.
//   - The same seed gives the same data.
//   - It shares nothing with the rest of this project: a client that passes here was
//     not checked against its own mistakes.
//
// Start runs a sandbox in this process; Open reaches one that runs in another. Both
// have the methods of Control: what people do on either side, and what goes wrong.
package sandbox
