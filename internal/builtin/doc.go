// Package builtin has the commands that every cluster has, each in the file of its
// name or of the first word of it: scale in scale.go, session list in session.go.
//
// Invariant: a command reaches the cluster by [control.Control] alone, so that it
// runs anywhere, and states what it saw where a change depends on that. Work
// that takes long is a job of the primary, which follow.go follows; a cancelled
// command cancels it.
package builtin
