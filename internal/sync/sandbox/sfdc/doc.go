// Package sfdc is a Salesforce organization in memory that speaks enough of the
// REST API for a sync client to run against it unchanged, and goes wrong where
// Salesforce does: rows that become visible late, stamps of whole seconds, merges,
// duplicate rules, failures of single items inside a reply of 200.
//
// The rules of this server:
//
//   - It shares no code with any client. What it knows of Salesforce is stated beside
//     the code that does it, with the page of developer.salesforce.com it comes from.
//   - Everything that a request or a person's edit changed has been handed to the
//     journal before it is acknowledged.
//   - Time comes from Options.Now only, and the same calls at the same times give the
//     same ids and the same replies.
//   - A row version is never changed in place; a change puts a new version.
//
// Server is the http.Handler. Its other methods are what people and automation do
// inside the organization, and the knobs that make it misbehave.
package sfdc
