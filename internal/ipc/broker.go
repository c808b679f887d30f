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
	// brokerTimeout bounds the primary's answer about a file or a record.
	brokerTimeout = 5 * time.Second
	// lookTimeout bounds the answer about the state of a file. A login waits for
	// it, and goes on without it.
	lookTimeout = 2 * time.Second
	// prepareTimeout is more than a process that makes keys may take.
	prepareTimeout = 40 * time.Second
)

// How a file is opened by the primary.
const (
	OpenLook  = "look"  // to see which one it is (O_PATH)
	OpenRead  = "read"  // to read it
	OpenEnter = "enter" // a directory, to reach what is in it (O_PATH)
)

// OpenFile asks the primary for a descriptor of a file of the state directory.
type OpenFile struct {
	Path string `cbor:"path"`
	How  string `cbor:"how"`
}

// Opened answers [OpenFile], with one descriptor unless the file is missing.
type Opened struct {
	Failure *control.Error `cbor:"failure,omitempty"`
	Missing bool           `cbor:"missing,omitempty"`
}

// Broker lets a shell worker that runs as another user, and may not enter the
// state directory, ask the primary to open files, to add to the audit log, and to
// make keys. Without a primary its errors are [durable.ErrAway].
type Broker struct {
	Dial  func(ctx context.Context) (*net.UnixConn, error)
	Hello Hello // Purpose is set by the methods
}

var _ durable.Files = Broker{}

func (b Broker) Open(path string) (*os.File, error) { return b.file(brokerTimeout, path, OpenRead) }

func (b Broker) Stat(path string) (fs.FileInfo, error) {
	f, err := b.file(lookTimeout, path, OpenLook)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return info, errors.Join(err, f.Close())
}

// Enter opens a directory. Its files are then reached by a path below
// /proc/self/fd (proc_pid_fd(5)), so the modes of the directories above it do not
// matter.
func (b Broker) Enter(path string) (*os.File, error) {
	return b.file(brokerTimeout, path, OpenEnter)
}

func (b Broker) file(within time.Duration, path, how string) (*os.File, error) {
	m, err := b.ask(within, TypeOpen, OpenFile{path, how})
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
		return nil, fmt.Errorf("%s: %w", path, o.Failure)
	case o.Missing:
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	case m.FDs != 1:
		return nil, fmt.Errorf("%s: %d descriptors came", path, m.FDs)
	}
	return os.NewFile(uintptr(m.Files()[0]), path), nil
}

// Record appends a record to the audit log.
func (b Broker) Record(record any) error {
	return b.done(b.ask(brokerTimeout, TypeRecord, record))
}

// Prepare has the primary make what is missing or stale in the state directory.
func (b Broker) Prepare() error {
	return b.done(b.ask(prepareTimeout, TypePrepare, nil))
}

func (b Broker) done(m Message, err error) error {
	if err != nil {
		return err
	}
	defer m.Discard()
	var r Reply
	return errors.Join(m.Decode(&r), r.Err())
}

// ask is one conversation.
func (b Broker) ask(within time.Duration, kind string, body any) (Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	h := b.Hello
	h.Purpose = PurposeBroker
	conn, _, err := Open(ctx, b.Dial, h)
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
		var f control.Error
		return Message{}, errors.Join(m.Decode(&f), &f)
	}
	return m, nil
}

// away adds [durable.ErrAway] to an error of the conversation.
func away(err error) error {
	if errors.Is(err, control.ErrDenied) {
		return err
	}
	return fmt.Errorf("%w: %w", durable.ErrAway, err)
}
