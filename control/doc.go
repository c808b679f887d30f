// Package control is the vocabulary in which a cluster is observed and changed:
// the interface [Control], and the values that it takes and gives. Each question
// is a value of its own type: a query is answered by the present state ([Get]), a
// stream by elements as they come ([Watch]), a request changes something
// ([Control.Do]).
//
// The primary implements Control on real processes; the IPC client implements it
// over a socket. So a command, a handler in a worker and a console use the same
// interface.
//
// Invariant: a request states the wish and, where it matters, what was seen when
// it was made ([ScaleRequest.Seen], [SignalRequest.Incarnation]), so that
// repeating it is harmless. Long work is a [Job].
package control
