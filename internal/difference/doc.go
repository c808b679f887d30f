// Package difference tells what differs between two configurations, key by key, as
// the keys are called in norestart.toml.
//
// Invariant: no change has the value of a variable, a password or an address that
// may hold one.
package difference
