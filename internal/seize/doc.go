// Package seize gives a program that knows only PORT the listening socket of
// its slot, without a proxy in front of it.
//
// The program is told a private port, binds it, and calls listen(2). A filter
// of system calls that it was started with ([Install]) makes this call wait. The
// [Supervisor] sees that the socket is bound to the private port, puts the
// slot's socket in the place of the program's descriptor, and answers that the
// call succeeded: from then on the program accepts from the slot's socket. Any
// other call of listen goes its way.
//
// Invariant: a call is answered with success only if its descriptor is the
// slot's socket. Nothing is read from the program's memory, so it cannot change
// under us what we decide by; and it gets no socket but the one that it was
// started for.
//
//	in the child, before exec:   notify, err := seize.Install()
//	                             err = seize.Send(socket, notify)
//	in its parent:               notify, err := seize.Receive(conn)
//	                             s := seize.Supervisor{Sockets: map[uint16]int{port: slot}, Report: report}
//	                             err = s.Run(ctx, notify)
//
// The filter is inherited, so that a call of any child of the program is seen.
// When the last copy of the notify descriptor is closed, listen fails with
// ENOSYS: somebody must hold one as long as the program lives. A holder that
// runs no supervisor makes listen wait, which is harmless.
//
// That the call is answered tells that the program listens, not that it accepts
// already: meanwhile connections wait in the queue of the slot's socket.
//
// Limits: Linux 5.10, amd64 and arm64. The supervisor must be allowed to copy a
// descriptor of the program (pidfd_getfd(2)): it runs as the same user and is
// its ancestor, or has CAP_SYS_PTRACE. What the program sets on its own socket
// before listen, TCP_NODELAY for instance, is lost; nobody listens on the
// private port. listen by io_uring (Linux 6.11) is not seen.
//
// Sources: seccomp(2), seccomp_unotify(2).
package seize
