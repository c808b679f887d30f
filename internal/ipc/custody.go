package ipc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
)

const (
	// custodyTimeout is how long the primary may take for a file or a record.
	custodyTimeout = 5 * time.Second
	// prepareTimeout is longer than a process that makes keys may take.
	prepareTimeout = 40 * time.Second
)

// How a file is opened by the primary.
const (
	OpenLook  = "look"  // to see which one it is (O_PATH)
	OpenRead  = "read"  // to read it
	OpenEnter = "enter" // a directory, to reach what is in it (O_PATH)
)

// OpenFile asks the primary for a descriptor of a file in its custody.
type OpenFile struct {
	Path string `cbor:"path"`
	How  string `cbor:"how"`
}

// Opened answers [OpenFile], with one descriptor unless the file is missing.
type Opened struct {
	Failure *Failure `cbor:"failure,omitempty"`
	Missing bool     `cbor:"missing,omitempty"`
}

// Custody is what the shell worker asks the primary for of the state directory:
// it may run as a user who cannot enter it, and it makes no keys. As
// [durable.Files] it tells of files while there is a primary.
type Custody struct {
	Dial  func(ctx context.Context) (*net.UnixConn, error)
	Hello Hello // Purpose is set by the methods
}

var _ durable.Files = Custody{}

// Open implements [durable.Files].
func (c Custody) Open(path string) (*os.File, error) { return c.file(path, OpenRead) }

// Stat implements [durable.Files].
func (c Custody) Stat(path string) (fs.FileInfo, error) {
	f, err := c.file(path, OpenLook)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return info, errors.Join(err, f.Close())
}

// Enter gives a directory. What is in it is reached by its path below
// /proc/self/fd (proc_pid_fd(5)), whoever may pass the directories above it.
func (c Custody) Enter(path string) (*os.File, error) { return c.file(path, OpenEnter) }

func (c Custody) file(path, how string) (*os.File, error) {
	m, err := c.ask(custodyTimeout, TypeOpen, OpenFile{path, how})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer m.Discard()
	var o Opened
	if err := m.Decode(&o); err != nil {
		return nil, err
	}
	switch {
	case o.Failure != nil:
		return nil, fmt.Errorf("%s: %w", path, o.Failure.Err())
	case o.Missing:
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	case m.FDs != 1:
		return nil, fmt.Errorf("%s: %d descriptors came", path, m.FDs)
	}
	return os.NewFile(uintptr(m.Files()[0]), path), nil
}

// Record puts a record on the audit log.
func (c Custody) Record(record any) error {
	return c.done(c.ask(custodyTimeout, TypeRecord, record))
}

// Prepare has made what is missing in the state directory or has to be made
// anew.
func (c Custody) Prepare() error {
	return c.done(c.ask(prepareTimeout, TypePrepare, nil))
}

func (c Custody) done(m Message, err error) error {
	if err != nil {
		return err
	}
	defer m.Discard()
	var r Reply
	return errors.Join(m.Decode(&r), r.Failure.Err())
}

// ask is one conversation. Without a primary its error is [durable.ErrAway].
func (c Custody) ask(within time.Duration, kind string, body any) (Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	h := c.Hello
	h.Purpose = PurposeCustody
	conn, _, err := Open(ctx, c.Dial, h)
	if err != nil {
		return Message{}, away(err)
	}
	defer conn.Close()
	conn.Trust(true)
	if err := conn.Send(SendTimeout, kind, body); err != nil {
		return Message{}, away(unavailable(err))
	}
	m, err := conn.Receive(within)
	switch {
	case err != nil:
		return Message{}, away(unavailable(err))
	case m.Type == TypeRefused:
		defer m.Discard()
		var f Failure
		return Message{}, errors.Join(m.Decode(&f), f.Err())
	}
	return m, nil
}

// away tells that nobody is there to answer, also in the words of durable.
func away(err error) error {
	if errors.Is(err, control.ErrDenied) {
		return err
	}
	return fmt.Errorf("%w: %w", durable.ErrAway, err)
}
