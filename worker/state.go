package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/inherit"
)

// State is what a module hands to its successor. Data that is large and Files go
// from process to process: they never pass through the primary.
type State struct {
	// Version is that of the module that made it; set by the worker.
	Version string
	// Data is the module's own. [JSON] and [CBOR] make it of a value. If it is large
	// (64 KiB) and came from another process, it is mapped memory, which is not
	// given back before this process ends.
	Data []byte
	// Files are descriptors: open files, connections ([File]), memory that is
	// large ([Memory]). The worker closes those that BeforeReload has returned when
	// the state has gone or the reload has failed, and those that AfterReload was
	// given when that has returned: what is to stay open is duplicated
	// ([net.FileConn] and [net.FileListener] do), or taken by Take.
	Files []*os.File
}

// JSON is a state with v as JSON.
func JSON(v any) (State, error) {
	data, err := json.Marshal(v)
	return State{Data: data}, err
}

// JSON reads Data into v, as [json.Unmarshal] does: fields that v does not have are
// passed over, so that a state can go back to a version that knows less.
func (s State) JSON(v any) error {
	if err := json.Unmarshal(s.Data, v); err != nil {
		return fmt.Errorf("state of version %s: %w", s.Version, err)
	}
	return nil
}

// CBOR is a state with v as CBOR (RFC 8949), which is smaller and faster to read
// than JSON, and keeps []byte as they are.
func CBOR(v any) (State, error) {
	data, err := cbor.Marshal(v)
	return State{Data: data}, err
}

// CBOR reads Data into v; fields that v does not have are passed over.
func (s State) CBOR(v any) error {
	if err := cbor.Unmarshal(s.Data, v); err != nil {
		return fmt.Errorf("state of version %s: %w", s.Version, err)
	}
	return nil
}

// Take gives the file i to the caller, who must close it.
func (s State) Take(i int) *os.File {
	f := s.Files[i]
	s.Files[i] = nil
	return f
}

// Memory is a file without a name or a disk (memfd_create(2)) that becomes a file
// of a state: what is written to it, or mapped, is not copied again.
func Memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memory %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// File is a duplicate of a connection, or of a listener, as a file of a state. The
// caller should not read from the connection any more, and close it when the state
// has gone: Resume tells that it has not.
func File(c any) (*os.File, error) {
	switch c := c.(type) {
	case interface{ File() (*os.File, error) }:
		return c.File()
	case syscall.Conn:
		raw, err := c.SyscallConn()
		if err != nil {
			return nil, err
		}
		return duplicate(raw)
	case interface{ NetConn() net.Conn }:
		return File(c.NetConn())
	}
	return nil, fmt.Errorf("%T has no descriptor", c)
}

func duplicate(raw syscall.RawConn) (f *os.File, err error) {
	below := raw.Control(func(fd uintptr) {
		n, dupErr := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err = dupErr; err == nil {
			f = os.NewFile(uintptr(n), "connection")
		}
	})
	return f, errors.Join(err, below)
}

// size is that of the data, and of files that are memory.
func (s State) size() int64 {
	n := int64(len(s.Data))
	for _, f := range s.Files {
		if f == nil {
			continue
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
	}
	return n
}

func (s State) close() {
	for _, f := range s.Files {
		if f != nil {
			_ = f.Close() // a duplicate, or given up
		}
	}
}

// reserve is memory of that size that the kernel has given already. To get pages can
// take ten times as long as to copy into them, above all on a virtual machine.
func reserve(ctx context.Context, size int) (*os.File, error) {
	f, err := Memory("state")
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, min(size, 1<<20))
	for left := size; left > 0 && err == nil; {
		var n int
		n, err = f.Write(zeros[:min(left, len(zeros))])
		left -= n
		err = cmp.Or(err, ctx.Err())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// seal puts data into the memory f, which cannot change from then on.
func seal(f *os.File, data []byte) error {
	fd, err := inherit.RawFD(f)
	if err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	return err
}

// fromMemory maps it: what is written to the bytes stays in this process.
func fromMemory(f *os.File, size int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != size {
		return nil, fmt.Errorf("the memory has %d bytes, not %d", info.Size(), size)
	}
	fd, err := inherit.RawFD(f)
	if err != nil {
		return nil, err
	}
	return unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
}
