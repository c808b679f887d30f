// Package notify speaks the protocol of sd_notify(3), by which a service tells
// its manager its state: a datagram of NAME=value lines to the unix socket in the
// variable NOTIFY_SOCKET.
//
// A manager opens a [Socket] and receives the messages of the programs that it
// has started; a service tells its own manager by [Tell].
//
// Invariant: the kernel tells who has sent a message (SCM_CREDENTIALS, unix(7)),
// and what a message can make the receiver keep is bounded.
//
// Limits: unknown fields are ignored. Linux only.
package notify
