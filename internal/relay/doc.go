// Package relay is what a worker of the built-in pool relay does: it accepts at the
// addresses of pools whose programs know only PORT, and passes on what comes to a
// process of theirs that is ready, the one with the fewest connections first.
//
// A connection is one's until the first byte of either side has been passed on. If
// that process refuses it, ends it without a word or is to end, it goes to another
// one. From then on it lives as long as both ends.
//
// The primary names the processes, and asks before it ends one: the answer comes when
// no connection waits for an answer of it. Without a primary the relay goes on with
// what it knows.
package relay
