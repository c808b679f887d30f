// Package primary is the supervisor: the one parent process of a cluster. It
// owns the listening sockets, the slots, the generations and the logs, and
// implements [control.Control] on real processes.
//
// Invariants: one goroutine, the loop, owns all state; everything else posts
// events to it and gets values back. The life of a slot (slot.go) and a reload of
// a pool (reload_state.go) are pure functions of their state and of what happened.
// After every event the loop compares what is with what should be; so the next
// primary goes on from the record and the workers that still live (adoption.go,
// adoption_restore.go, resume.go) by the same loop. The primary accepts no network
// connection, parses nothing that came from a network, and calls no function of
// the application.
package primary
