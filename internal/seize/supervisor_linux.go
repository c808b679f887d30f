package seize

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Supervisor answers the calls of listen(2) of one program and its children.
type Supervisor struct {
	// Sockets are the sockets of the program's slot, which listen, by the
	// private port that each stands for. They stay the caller's, and open while
	// Run runs.
	Sockets map[uint16]int

	// Report is called after each call that concerns a private port, from Run's
	// goroutine. With an error the program goes on with its own socket, which
	// nobody reaches: its start has failed. A program may call listen again, so
	// a report may come twice.
	Report func(Seizure, error)
}

// Seizure is a call of listen(2) that was answered with a slot's socket.
type Seizure struct {
	PID  int    // the process that called; maybe a child of the program
	Port uint16 // the private port; 0: unknown, with an error
	// Nonblock is the mode of the descriptor, which the slot's socket now has
	// for all processes that hold it (O_NONBLOCK belongs to what they share).
	Nonblock bool
}

// Run answers until no process is left that could call, which is nil, or until
// ctx ends, whose error it returns. It returns between two calls: a call that
// was received is answered.
//
// The caller keeps notify, and may run another supervisor on it afterwards, but
// not two at once. notify is set to non-blocking mode.
func (s *Supervisor) Run(ctx context.Context, notify int) error {
	f, err := pollable(notify)
	if err != nil {
		return fmt.Errorf("watch calls of listen: %w", err)
	}
	defer f.Close()
	defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		events, err := wait(conn)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil:
			return fmt.Errorf("wait for a call of listen: %w", err)
		case events&unix.POLLIN == 0: // POLLHUP
			return nil
		}
		if err := s.next(notify); err != nil {
			return fmt.Errorf("answer a call of listen: %w", err)
		}
	}
	return ctx.Err()
}

// pollable is a copy of fd that Go's runtime polls.
func pollable(fd int) (*os.File, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(dup, true); err != nil {
		unix.Close(dup)
		return nil, err
	}
	return os.NewFile(uintptr(dup), "seccomp notify"), nil
}

// wait returns when there is a call (POLLIN) or no process left (POLLHUP).
func wait(conn syscall.RawConn) (events int16, err error) {
	err = conn.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(p, 0); err == nil && p[0].Revents&unix.POLLERR == 0 {
				break // else a signal came
			}
		}
		events = p[0].Revents
		return events != 0
	})
	return events, err
}

// next answers one call.
func (s *Supervisor) next(notify int) error {
	var call notification
	switch err := ioctl(notify, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&call)); {
	case errors.Is(err, unix.ENOENT):
		return nil // its thread was killed, or a signal ended the call
	case err != nil:
		return err
	}
	answer := response{id: call.id}
	found, port, err := s.seize(notify, &call)
	if port == 0 || err != nil {
		answer.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	switch sent := ioctl(notify, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer)); {
	case errors.Is(sent, unix.ENOENT):
		return nil // killed meanwhile, or a signal came: then it calls again
	case sent != nil:
		return sent
	}
	if port != 0 || err != nil {
		s.Report(Seizure{PID: found.pid, Port: port, Nonblock: found.nonblock}, err)
	}
	return nil
}

// seize puts a slot's socket in the place of the descriptor of a call. Port 0
// without an error is a call that does not concern us.
func (s *Supervisor) seize(notify int, call *notification) (found descriptor, port uint16, err error) {
	found, err = inspect(call)
	if err != nil {
		return found, 0, err
	}
	for port, socket := range s.Sockets {
		if cookie(socket) == found.cookie {
			return found, port, nil // seized before: it listens
		}
	}
	socket, ok := s.Sockets[found.port]
	if !ok {
		return found, 0, nil
	}
	if found.polled {
		return found, found.port, errPolled
	}
	// What we found is that of the caller only if its call still waits: the pid
	// may be another process's since.
	if err := ioctl(notify, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&call.id)); err != nil {
		return found, 0, nil // and there is nobody to answer
	}
	if err := unix.SetNonblock(socket, found.nonblock); err != nil {
		return found, found.port, err
	}
	return found, found.port, replace(notify, call, socket, found.closeOnExec)
}

// replace makes the descriptor of a call another name of socket.
func replace(notify int, call *notification, socket int, closeOnExec bool) error {
	add := addition{id: call.id, flags: unix.SECCOMP_ADDFD_FLAG_SETFD, source: uint32(socket), target: uint32(call.fd())}
	if closeOnExec {
		add.targetFlags = unix.O_CLOEXEC
	}
	err := ioctl(notify, unix.SECCOMP_IOCTL_NOTIF_ADDFD, unsafe.Pointer(&add))
	if err != nil && !errors.Is(err, unix.ENOENT) { // ENOENT: as for the answer
		return fmt.Errorf("replace descriptor %d of process %d: %w", call.fd(), call.pid, err)
	}
	return nil
}
