// Package inherit makes the sockets that outlive processes: the primary owns
// them, the processes of a slot inherit them, and a kernel program steers new
// connections to the slots that are ready.
//
// Invariant: a socket of a [Group] is never closed while the group lives, and
// sockets begin to listen in the order of their slots, so that the index of a
// socket in the kernel's SO_REUSEPORT group is its slot. Closing one would move
// the last into its place and lose what was queued on it.
//
// No inherited socket is ever shut down (shutdown(2) stops it for all) or
// turned to blocking mode, and only [Group.Close] unlinks one.
//
//	g, err := inherit.Open(listen, inherit.Slots)
//	err = g.Grow(4)
//	… start a process with g.FD(2) among its descriptors; in it:
//	ln, err := inherit.Listener(fd)
//	… when slots 0 and 2 are ready:
//	err = g.Steer([]int{0, 2})
//	… to execute another program in our place:
//	undo, err := inherit.KeepOverExec(g.FDs())
//	… and in that one, or where a survivor handed the sockets back:
//	g, err := inherit.Restore(listen, inherit.Slots, fds)
//
// Limits: TCP and unix stream sockets; Linux only. A Group is used by one
// goroutine at a time. Sockets are plain TCP, not MPTCP as Go's own listeners:
// those cannot be steered (EOPNOTSUPP).
package inherit
