// Package mail carries messages from one worker to another, over a stream that the
// primary has made for the two.
//
//	sender                                      receiver
//	    │ ◄── greeting: its line ───────────────────┤
//	    ├─── message 1, 2, 3 … ────────────────────►│ one in hand at a time,
//	    │                                           │ those behind it are queued
//	    │ ◄── handled up to 2, failed 3 ────────────┤
//	    │ ◄── closing: the rest was not touched ────┤ its state has gone, or it drains
//
// Invariant: the sender keeps a message until it was handled, and sends it again
// on each new stream, in order; the receiver keeps a mark for each sending process,
// the last message that was handled, and passes over what is not above it. The
// marks go to the successor with the state of the worker. What shares them is a
// line; a receiver that was killed ends it, and only what was sent again from one
// line to another may be handled twice. It says so.
package mail
