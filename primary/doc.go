// Package primary is the supervisor: the one parent process of a cluster. It
// owns the listening sockets, the slots, the generations and the logs, and
// implements [control.Control] on real processes.
//
// Invariants: one goroutine, the loop, owns all state; everybody else posts
// events to it and gets values back. The life of a slot is a pure function of
// its state and of what happened (slot.go). After every event the loop
// compares what is with what should be, so there is no separate code for
// recovery. The primary accepts no network connection, parses nothing that
// came from a network, and calls no function of the application.
package primary
