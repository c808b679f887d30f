package notify

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Variable names the socket in the environment of a service.
const Variable = "NOTIFY_SOCKET"

// maxPath is the longest path that a service can send to: that of a socket
// address less its zero (unix(7)), and less the mark of a name that is not there
// yet.
const maxPath = 106

// maxDatagram bounds a message, as systemd does (NOTIFY_BUFFER_MAX). A longer one
// is dropped.
const maxDatagram = 4 << 10

// Socket is where services send to.
type Socket struct {
	conn *net.UnixConn
	path string
}

// Listen opens the socket at path, to which all users may send. It replaces an
// earlier one at once, so that a service always finds one.
func Listen(path string) (*Socket, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s: %d bytes are too long for NOTIFY_SOCKET, at most %d: use a shorter directory", path, len(path), maxPath)
	}
	coming := path + "~"
	if err := os.Remove(coming); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: coming, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err = sendersAreKnown(conn); err == nil {
		err = os.Chmod(coming, 0o666)
	}
	if err == nil {
		err = os.Rename(coming, path)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(), os.Remove(coming))
	}
	return &Socket{conn: conn, path: path}, nil
}

// sendersAreKnown lets the kernel tell with each message who has sent it.
func sendersAreKnown(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	return errors.Join(err, set)
}

// Adopt takes over the socket at path by its descriptor, which came over
// execve(2). On success the descriptor is closed.
func Adopt(fd int, path string) (*Socket, error) {
	f := os.NewFile(uintptr(fd), "notify")
	c, err := net.FilePacketConn(f) // of a copy
	if err != nil {
		return nil, fmt.Errorf("adopt %s: %w", path, err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("adopt %s: not a unix socket", path), c.Close())
	}
	return &Socket{conn: conn, path: path}, f.Close()
}

// Path is the value of [Variable] for a service.
func (s *Socket) Path() string { return s.path }

// SyscallConn gives access to the descriptor.
func (s *Socket) SyscallConn() (syscall.RawConn, error) { return s.conn.SyscallConn() }

// Wait returns when there is a message to take, and an error after Close.
func (s *Socket) Wait() error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return n > 0 || err != nil
	})
}

// Take returns the next message without waiting; false: there is none.
func (s *Socket) Take() (m Message, ok bool) {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return m, false
	}
	err = raw.Control(func(fd uintptr) { m, ok = Take(int(fd)) })
	return m, ok && err == nil
}

// Take returns the next message that waits in the socket of a descriptor; false:
// there is none. It passes over what cannot be a message. Descriptors that come
// with one and are not to be kept are closed when it has been read, which tells the
// sender that all earlier messages have been (sd_notify_barrier(3)).
func Take(fd int) (Message, bool) {
	buf, oob := make([]byte, maxDatagram), make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*maxDescriptors))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return Message{}, false
		}
		from, files := sender(oob[:oobn])
		m := Parse(buf[:n])
		m.Files = files
		if from == nil || flags&unix.MSG_TRUNC != 0 {
			m.Discard()
			continue
		}
		m.From = ancestors(int(from.Pid)) // while a sender that waits is there
		if !m.Store {
			m.Discard()
			m.Files = nil
		}
		return m, true
	}
}

// maxAncestors bounds them.
const maxAncestors = 16

// ancestors are the process pid, its parent, and so on.
func ancestors(pid int) (all []int) {
	all = append(all, pid)
	for len(all) < maxAncestors && pid > 1 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break // it has gone
		}
		// The name, in brackets, may hold anything (proc_pid_stat(5)).
		var state string
		if _, err := fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &state, &pid); err != nil {
			break
		}
		all = append(all, pid)
	}
	return all
}

// maxDescriptors are taken with a message; the kernel closes what is beyond.
const maxDescriptors = 128

// sender is who has sent a message, and the descriptors that came with it.
func sender(oob []byte) (from *unix.Ucred, files []int) {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, nil
	}
	for _, m := range all {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			files = append(files, fds...)
		}
		if cred, err := unix.ParseUnixCredentials(&m); err == nil {
			from = cred
		}
	}
	return from, files
}

// Close ends Wait and removes the socket. On nil it does nothing.
func (s *Socket) Close() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.conn.Close(), os.Remove(s.path))
}

// tellTimeout is how long a manager may take to make room for a message.
const tellTimeout = time.Second

// Tell sends fields, such as READY=1, to the manager of this process that the
// environment names; without one it does nothing.
func Tell(fields string) error {
	path := os.Getenv(Variable)
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // "@": an abstract one
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	err = conn.SetWriteDeadline(time.Now().Add(tellTimeout))
	if err == nil {
		_, err = conn.Write([]byte(fields))
	}
	return errors.Join(err, conn.Close())
}
