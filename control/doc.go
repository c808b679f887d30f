// Package control is the vocabulary in which a cluster is observed and
// changed: the interface [Control] and the values that it takes and gives.
// It has no behaviour of its own.
//
// The primary implements Control on real processes; the IPC client implements
// it over a socket, so that a command, a handler in a worker and a console all
// speak to the same thing.
//
// Invariant: a mutation states the wish and, where it matters, what was seen
// when it was made ([ScaleRequest.Seen], [SignalRequest.Incarnation]), so that
// repeating it is harmless. A mutation that is long work returns a [Job] as
// soon as it is accepted; [Control.FollowJob] tells how it ends.
package control
