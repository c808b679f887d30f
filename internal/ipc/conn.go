package ipc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"
)

// Limits of a conversation.
const (
	// HelloLimit is the size of a message before its sender is known.
	HelloLimit = 4 << 10
	// MessageLimit is the size of a message after that.
	MessageLimit = 1 << 20
	// maxFDs is how many descriptors one read may carry.
	maxFDs = 64
)

// ErrTooLarge is a message over the limit of its conversation.
var ErrTooLarge = errors.New("message too large")

// Conn is one conversation. Send may be called from several goroutines,
// Receive from one.
type Conn struct {
	c     *net.UnixConn
	limit int
	fdsOK bool // whether the peer may send descriptors

	sending sync.Mutex // held for one whole message

	buf  []byte
	came []arrival // received, not yet claimed by a message
}

// arrival are the descriptors of one read. They belong to one message, because a
// read ends behind the first byte that carries some.
type arrival struct {
	fds   []int
	short bool // the process had no room for all of them
}

// NewConn speaks on c, which it then owns. It begins with [HelloLimit].
func NewConn(c *net.UnixConn) *Conn { return &Conn{c: c, limit: HelloLimit} }

// Trust raises the size limit to [MessageLimit]; with descriptors set the peer
// may send them from now on.
func (c *Conn) Trust(descriptors bool) { c.limit, c.fdsOK = MessageLimit, descriptors }

// Close ends the conversation and cancels what it asked for. Receive fails from
// now on, and closes the descriptors that no message has claimed.
func (c *Conn) Close() error { return c.c.Close() }

// CloseRead lets the peer send no more. What it has sent can still be received,
// up to io.EOF.
func (c *Conn) CloseRead() error { return c.c.CloseRead() }

// File returns the connection itself as a descriptor, to be sent to another
// process. Everything received must have been consumed.
func (c *Conn) File() (*os.File, error) {
	if len(c.buf) > 0 {
		return nil, errors.New("hand over a conversation: unread bytes")
	}
	return c.c.File()
}

// Stream returns the connection for what is not in messages. Everything received
// must have been consumed.
func (c *Conn) Stream() (*net.UnixConn, error) {
	if len(c.buf) > 0 {
		return nil, errors.New("use a conversation as a stream: unread bytes")
	}
	return c.c, c.c.SetDeadline(time.Time{})
}

// Message is one message as it came.
type Message struct {
	Type string          `cbor:"t"`
	FDs  int             `cbor:"f,omitempty"`
	Body cbor.RawMessage `cbor:"b,omitempty"`

	files []int
	short bool
}

// Decode reads the body into v. An empty body leaves v as it is.
func (m Message) Decode(v any) error {
	if len(m.Body) == 0 {
		return nil
	}
	if err := decoding.Unmarshal(m.Body, v); err != nil {
		return fmt.Errorf("message %s: %w", m.Type, err)
	}
	return nil
}

// Files gives the descriptors that came with the message to the caller, who
// must close them.
func (m *Message) Files() []int {
	files := m.files
	m.files = nil
	return files
}

// Short reports that descriptors came with the message and there was no room for
// all of them (EMFILE; MSG_CTRUNC, recvmsg(2)). Then all have been closed, and
// FDs is 0.
func (m *Message) Short() bool { return m.short }

// Discard closes the descriptors that were not taken by Files.
func (m *Message) Discard() { closeAll(m.Files()) }

// decoding is strict about shape and bounded in depth and width; the conversation
// bounds sizes.
var decoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		MaxNestedLevels:  16,
		MaxArrayElements: 1 << 16,
		MaxMapPairs:      1 << 16,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		UTF8:             cbor.UTF8DecodeInvalid, // text of workers may be anything
	}.DecMode()
	if err != nil {
		panic(err) // the options above are constant
	}
	return mode
}()

var encoding = func() cbor.EncMode {
	mode, err := cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// Encode gives the bytes of a body.
func Encode(body any) (cbor.RawMessage, error) {
	if body == nil {
		return nil, nil
	}
	return encoding.Marshal(body)
}

// Decode reads what Encode gave.
func Decode(data []byte, v any) error { return decoding.Unmarshal(data, v) }

// Send writes one message with descriptors within d. If only a part can be
// written, the conversation ends.
func (c *Conn) Send(d time.Duration, kind string, body any, fds ...int) error {
	raw, err := Encode(body)
	if err != nil {
		return fmt.Errorf("send %s: %w", kind, err)
	}
	data, err := encoding.Marshal(Message{Type: kind, FDs: len(fds), Body: raw})
	if err != nil {
		return fmt.Errorf("send %s: %w", kind, err)
	}
	if len(data) > MessageLimit {
		return fmt.Errorf("send %s of %d bytes: %w", kind, len(data), ErrTooLarge)
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	if err := c.c.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return fmt.Errorf("send %s: %w", kind, err)
	}
	if n, err := c.write(data, fds); err != nil {
		if n > 0 {
			_ = c.c.Close() // the peer has half a message: nothing can follow
		}
		return fmt.Errorf("send %s: %w", kind, err)
	}
	return nil
}

// write sends data, the descriptors with its first byte, and returns how much was
// sent.
func (c *Conn) write(data []byte, fds []int) (n int, err error) {
	if len(fds) > 0 {
		n, _, err = c.c.WriteMsgUnix(data, unix.UnixRights(fds...), nil)
		if err != nil || n == len(data) {
			return n, err
		}
	}
	more, err := c.c.Write(data[n:])
	return n + more, err
}

// Receive reads one message. It waits at most d; with 0 until one comes or the
// conversation is closed. io.EOF means that the peer closed it between two
// messages.
func (c *Conn) Receive(d time.Duration) (Message, error) {
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	if err := c.c.SetReadDeadline(until); err != nil {
		return Message{}, c.fail(err)
	}
	for {
		m, ok, err := c.next()
		if err != nil {
			return Message{}, c.fail(err)
		}
		if ok {
			return m, nil
		}
		if err := c.fill(); err != nil {
			return Message{}, c.fail(err)
		}
	}
}

// next takes one whole message out of the buffer.
func (c *Conn) next() (Message, bool, error) {
	var m Message
	if len(c.buf) == 0 {
		return m, false, nil
	}
	rest, err := decoding.UnmarshalFirst(c.buf, &m)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) && len(c.buf) >= c.limit:
		return m, false, ErrTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF):
		return m, false, nil
	case err != nil:
		return m, false, err
	case len(c.buf)-len(rest) > c.limit:
		return m, false, ErrTooLarge
	}
	if err := c.claim(&m); err != nil {
		return m, false, err
	}
	m.Body = append(cbor.RawMessage(nil), m.Body...) // the buffer is used again
	c.buf = append(c.buf[:0], rest...)
	return m, true, nil
}

// fill reads once. A read of a unix stream does not go beyond a byte that carries
// descriptors, so they come in the order of their messages.
func (c *Conn) fill() error {
	const chunk = 4 << 10
	if free := cap(c.buf) - len(c.buf); free < chunk/2 {
		grown := make([]byte, len(c.buf), 2*cap(c.buf)+chunk)
		copy(grown, c.buf)
		c.buf = grown
	}
	space := c.buf[len(c.buf):cap(c.buf)]
	if !c.fdsOK {
		n, err := c.c.Read(space)
		c.buf = c.buf[:len(c.buf)+max(n, 0)]
		return err
	}
	oob := make([]byte, unix.CmsgSpace(maxFDs*4))
	n, oobn, flags, _, err := c.c.ReadMsgUnix(space, oob)
	switch {
	case err != nil: // n and oobn may be -1
		return err
	case n == 0:
		err = io.EOF
	}
	c.buf = c.buf[:len(c.buf)+n]
	return errors.Join(err, c.keep(oob[:oobn], flags))
}

// keep takes in the descriptors that came with a read.
func (c *Conn) keep(oob []byte, flags int) error {
	truncated := flags&unix.MSG_CTRUNC != 0
	if len(oob) == 0 && !truncated {
		return nil
	}
	control, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return err
	}
	var a arrival
	for i := range control {
		fds, err := unix.ParseUnixRights(&control[i])
		if err != nil {
			continue // credentials or the like: not ours
		}
		a.fds = append(a.fds, fds...)
	}
	a.short = truncated && len(a.fds) < maxFDs
	c.came = append(c.came, a)
	total := 0
	for _, a := range c.came {
		total += len(a.fds)
	}
	if truncated && !a.short || total > maxFDs || len(c.came) > maxFDs {
		return fmt.Errorf("more than %d descriptors", maxFDs)
	}
	return nil
}

// claim gives a message the descriptors that came with it.
func (c *Conn) claim(m *Message) error {
	if m.FDs == 0 {
		return nil
	}
	if len(c.came) == 0 || m.FDs < 0 || m.FDs > len(c.came[0].fds) && !c.came[0].short {
		return fmt.Errorf("message %s claims %d descriptors, which have not come", m.Type, m.FDs)
	}
	a := &c.came[0]
	if a.short {
		closeAll(a.fds)
		m.FDs, m.short, a.fds = 0, true, nil
	}
	m.files = append([]int(nil), a.fds[:m.FDs]...)
	if a.fds = a.fds[m.FDs:]; len(a.fds) == 0 {
		c.came = c.came[1:]
	}
	return nil
}

// fail closes the descriptors that no message has claimed.
func (c *Conn) fail(err error) error {
	for _, a := range c.came {
		closeAll(a.fds)
	}
	c.came = nil
	if errors.Is(err, io.EOF) && len(c.buf) > 0 {
		return io.ErrUnexpectedEOF
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
