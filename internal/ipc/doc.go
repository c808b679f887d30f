// Package ipc is the wire between the primary, its workers and local callers:
// messages on unix sockets, and [Client], which is a [control.Control] over it.
//
// Invariant: one conversation is one connection. There is no multiplexing, so the
// kernel's buffer is each conversation's own flow control, closing the connection
// cancels what it asked for, and a large answer never delays a drain.
//
// A message is one CBOR value (RFC 8949) of the shape {t: type, f: number of
// descriptors, b: body}; values follow each other without a frame. Each
// conversation has a size limit, each wait a deadline. Unknown fields are
// ignored, so that a newer side may send more. docs/protocol.md lists every
// message.
package ipc
