package inherit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// unixFile is a place in a directory for the file of a unix socket. The
// directory is held open, so that names in it stay reachable however long the
// path is, and whatever becomes of the path.
type unixFile struct {
	dir  int // O_PATH
	name string
	path string

	dev, ino uint64 // of the file that we made
	restored bool   // or, if so, found
}

func newUnixFile(path string) (*unixFile, error) {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return &unixFile{dir: dir, name: filepath.Base(path), path: path}, nil
}

// maxSockaddr is the longest path in a struct sockaddr_un, without its zero
// (unix(7)).
const maxSockaddr = 107

// socketPath is a path of name, a file beside f, that fits into a socket
// address.
func (f *unixFile) socketPath(name string) (string, error) {
	path := filepath.Join(filepath.Dir(f.path), name)
	if len(path) > maxSockaddr {
		path = "/proc/self/fd/" + strconv.Itoa(f.dir) + "/" + name
	}
	if len(path) > maxSockaddr {
		return "", fmt.Errorf("name %.120q is too long for a socket: %w", name, unix.ENAMETOOLONG)
	}
	return path, nil
}

func (f *unixFile) close() { unix.Close(f.dir) }

// unixSocket returns a socket that is bound to name in f's directory and does
// not listen yet.
func (f *unixFile) unixSocket(name string) (fd int, err error) {
	path, err := f.socketPath(name)
	if err != nil {
		return -1, err
	}
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openUnix listens on the group's path. It replaces a socket there on which no
// process listens; it refuses anything else.
func (g *Group) openUnix() error {
	f, err := newUnixFile(g.listen.Path)
	if err != nil {
		return err
	}
	fd, err := f.listen(g.access)
	if err != nil {
		f.close()
		return err
	}
	g.fds, g.file = []int{fd}, f
	return nil
}

// Access is who may connect to a unix socket.
type Access struct {
	Mode     *int // of its file; nil: as the umask leaves it
	UID, GID int  // its owner; -1: ours
}

// set gives the file its owner and mode. It is called before the socket listens:
// before that the kernel refuses connections.
func (a *Access) set(f *unixFile) error {
	if a == nil {
		return nil
	}
	if a.UID >= 0 || a.GID >= 0 {
		if err := unix.Fchownat(f.dir, f.name, a.UID, a.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("give the socket to user %d, group %d: %w", a.UID, a.GID, err)
		}
	}
	if a.Mode == nil {
		return nil
	}
	return unix.Fchmodat(f.dir, f.name, uint32(*a.Mode), 0)
}

func (f *unixFile) listen(access *Access) (fd int, err error) {
	if err := f.clear(); err != nil {
		return -1, err
	}
	fd, err = f.unixSocket(f.name)
	if err != nil {
		return -1, err
	}
	if err = f.remember(); err == nil {
		err = access.set(f)
	}
	if err == nil {
		err = unix.Listen(fd, backlog())
	}
	if err != nil {
		unix.Close(fd)
		return -1, errors.Join(err, unix.Unlinkat(f.dir, f.name, 0))
	}
	return fd, nil
}

// remember notes the identity of our file.
func (f *unixFile) remember() error {
	st, err := f.stat()
	f.dev, f.ino = uint64(st.Dev), st.Ino
	return err
}

func (f *unixFile) stat() (st unix.Stat_t, err error) {
	err = unix.Fstatat(f.dir, f.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// clear removes a socket on which no process listens.
func (f *unixFile) clear() error {
	st, err := f.stat()
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("a file that is not a socket is in the way")
	}
	if err := f.alive(); err != nil {
		return err
	}
	return unix.Unlinkat(f.dir, f.name, 0)
}

// alive returns an [*InUseError] if a process listens on f, else nil.
func (f *unixFile) alive() error {
	path, err := f.socketPath(f.name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPROTOTYPE): // its queue is full; a datagram socket
		return &InUseError{}
	case err != nil:
		return fmt.Errorf("find out whether it is in use: %w", err)
	}
	// The credentials are those of the process that called listen(2) (unix(7)).
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return &InUseError{}
	}
	return inUseBy(int(peer.Pid))
}

// remove removes the file if it is still ours.
func (f *unixFile) remove() error {
	defer f.close()
	st, err := f.stat()
	if errors.Is(err, unix.ENOENT) || err == nil && (uint64(st.Dev) != f.dev || st.Ino != f.ino) {
		return nil
	}
	if err == nil {
		err = unix.Unlinkat(f.dir, f.name, 0)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", f.path, err)
	}
	return nil
}

// ListenUnix listens on path, which may be longer than a socket address, with
// the given permissions. It makes the socket under a temporary name,
// ".NAME.new", and renames it over path, so that a process answers there at any
// time; the caller must hold a lock for path. Closing the listener leaves the
// file: it may be that of the next process already.
func ListenUnix(path string, mode os.FileMode) (*net.UnixListener, error) {
	f, err := newUnixFile(path)
	if err != nil {
		return nil, fmt.Errorf("listen unix %s: %w", path, err)
	}
	defer f.close()
	l, err := f.listenRenamed("."+f.name+".new", mode)
	if err != nil {
		return nil, fmt.Errorf("listen unix %s: %w", path, err)
	}
	return l, nil
}

func (f *unixFile) listenRenamed(temporary string, mode os.FileMode) (l *net.UnixListener, err error) {
	if err := unix.Unlinkat(f.dir, temporary, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	fd, err := f.unixSocket(temporary)
	if err != nil {
		return nil, err
	}
	if err = unix.Fchmodat(f.dir, temporary, uint32(mode.Perm()), 0); err == nil {
		l, err = listenUnixFD(fd) // permissions first: from here on one can connect
	} else {
		unix.Close(fd)
	}
	if err == nil {
		err = unix.Renameat(f.dir, temporary, f.dir, f.name)
	}
	if err != nil {
		if l != nil {
			l.Close()
		}
		return nil, errors.Join(err, unix.Unlinkat(f.dir, temporary, 0))
	}
	return l, nil
}

// listenUnixFD lets a bound socket listen and takes it over.
func listenUnixFD(fd int) (*net.UnixListener, error) {
	if err := unix.Listen(fd, backlog()); err != nil {
		unix.Close(fd)
		return nil, err
	}
	l, err := Listener(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// DialUnix connects to a unix socket, whose path may be longer than a socket
// address. While the listener's queue is full it tries again, until ctx is
// done; package net would fail at once.
func DialUnix(ctx context.Context, path string) (*net.UnixConn, error) {
	f, err := newUnixFile(path)
	if err != nil {
		return nil, fmt.Errorf("dial unix %s: %w", path, err)
	}
	defer f.close()
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		c, err := f.dial(ctx)
		if !errors.Is(err, unix.EAGAIN) {
			return c, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// How long DialUnix waits between two tries.
const (
	firstWait = time.Millisecond
	maxWait   = 50 * time.Millisecond
)

func (f *unixFile) dial(ctx context.Context) (*net.UnixConn, error) {
	path, err := f.socketPath(f.name)
	if err != nil {
		return nil, fmt.Errorf("dial unix %s: %w", f.path, err)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // it names the address that we made up
	}
	if err != nil {
		return nil, fmt.Errorf("dial unix %s: %w", f.path, err)
	}
	return c.(*net.UnixConn), nil
}
