// Package sync only groups the packages of the sync engine. It holds no code:
// a package of this name would collide with the standard library's at every use.
package sync
