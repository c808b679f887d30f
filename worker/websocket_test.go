package worker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// sessions is a module of open websockets (RFC 6455, as much of it as these tests
// speak): each answers a frame with how many came on it and what it said.
type sessions struct {
	mu      sync.Mutex
	open    map[*session]bool
	still   bool // they move
	serving sync.WaitGroup
}

type session struct {
	conn  net.Conn
	in    *bufio.Reader
	count uint64
}

// carried is the state of one session; its connection is the file with the same
// index.
type carried struct {
	Count uint64
	Read  []byte // and not answered: the beginning of a frame
}

func (all *sessions) module() Module {
	return Module{
		Version: "v1.0.0",
		Timeout: soon,
		Init:    func(_ context.Context, s *Scope) error { s.Handle("/", all); return nil },
		BeforeReload: func(context.Context) (State, error) {
			all.stop()
			return all.state()
		},
		Resume: func(context.Context) error { return all.resume() },
		AfterReload: func(_ context.Context, s *Scope, state State) error {
			s.Handle("/", all)
			return all.restore(state)
		},
	}
}

// ServeHTTP takes a connection over.
func (all *sessions) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	all.serving.Add(1) // before Hijack: from then on the hold does not wait for it
	defer all.serving.Done()
	c, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	all.mu.Lock()
	defer all.mu.Unlock()
	s := &session{conn: c, in: buf.Reader}
	all.open[s] = true
	if !all.still {
		all.serve(s)
	}
}

func (all *sessions) serve(s *session) {
	all.serving.Go(func() {
		err := s.answerAll()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return // it moves
		}
		all.mu.Lock()
		defer all.mu.Unlock()
		delete(all.open, s)
		_ = s.conn.Close()
	})
}

// answerAll answers frames. A frame is taken from the buffer when all of it is there,
// so what an interrupted read has got stays.
func (s *session) answerAll() error {
	for {
		head, err := s.in.Peek(6) // the length, below 126, and the mask
		if err != nil {
			return err
		}
		frame, err := s.in.Peek(6 + int(head[1]&0x7f))
		if err != nil {
			return err
		}
		text := make([]byte, len(frame)-6)
		for i := range text {
			text[i] = frame[6+i] ^ frame[2+i%4]
		}
		_, _ = s.in.Discard(len(frame)) // it was peeked at
		s.count++
		answer := fmt.Appendf([]byte{0x81, 0}, "%d %s", s.count, text)
		answer[1] = byte(len(answer) - 2)
		if _, err := s.conn.Write(answer); err != nil {
			return err
		}
	}
}

// stop interrupts the reads, and returns when no session reads or writes.
func (all *sessions) stop() {
	all.mu.Lock()
	all.still = true
	for s := range all.open {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // a closed one reads no more
	}
	all.mu.Unlock()
	all.serving.Wait()
}

func (all *sessions) state() (State, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	var list []carried
	var files []*os.File
	for s := range all.open {
		f, err := File(s.conn)
		if err != nil {
			return State{Files: files}, err
		}
		read, _ := s.in.Peek(s.in.Buffered()) // it is there
		files, list = append(files, f), append(list, carried{s.count, read})
	}
	state, err := CBOR(list)
	state.Files = files
	return state, err
}

func (all *sessions) resume() error {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.still = false
	for s := range all.open {
		if err := s.conn.SetReadDeadline(time.Time{}); err == nil {
			all.serve(s)
		}
	}
	return nil
}

// restore makes sessions of a state. They are served when the state is ours for good,
// by resume.
func (all *sessions) restore(state State) error {
	var list []carried
	if err := state.CBOR(&list); err != nil {
		return err
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.still = true
	for i, one := range list {
		c, err := net.FileConn(state.Files[i])
		if err != nil {
			return err
		}
		in := bufio.NewReader(io.MultiReader(bytes.NewReader(one.Read), c))
		all.open[&session{conn: c, in: in, count: one.Count}] = true
	}
	return nil
}

// run serves with the module; the sessions begin when the state is ours.
func (all *sessions) run(ctx context.Context, w *Worker) error {
	if err := errors.Join(w.Register("sessions", all.module()), w.Load()); err != nil {
		return err
	}
	if err := all.resume(); err != nil {
		return err
	}
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, all.close)()
	return w.ServeHTTP(ctx, &http.Server{Handler: w.Router()}, ln)
}

// close closes the copies of the connections that the successor has, or all of them
// if there is none.
func (all *sessions) close() {
	all.stop()
	all.mu.Lock()
	defer all.mu.Unlock()
	for s := range all.open {
		_ = s.conn.Close()
	}
	clear(all.open)
}

// visitor is a client of one session.
type visitor struct {
	conn net.Conn
	in   *bufio.Reader
	n    uint64
}

func visit(t *testing.T, s *inherit.Group) *visitor {
	t.Helper()
	c, err := net.Dial("tcp", addr(s))
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	v := &visitor{conn: c, in: bufio.NewReader(c)}
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	must(t, err)
	resp, err := http.ReadResponse(v.in, nil)
	must(t, err)
	if got, want := resp.Header.Get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; got != want { // RFC 6455 §1.3
		t.Fatalf("Sec-WebSocket-Accept is %q, want %q", got, want)
	}
	return v
}

// hello is the frame with number n.
func hello(n uint64) []byte {
	text := fmt.Sprintf("hello %d", n)
	f := binary.BigEndian.AppendUint32([]byte{0x81, 0x80 | byte(len(text))}, uint32(n)*2654435761)
	for i := range text {
		f = append(f, text[i]^f[2+i%4])
	}
	return f
}

// half is how much of the next frame a visitor sends together with each: so much has
// been read and not answered when the answer comes.
const half = 4

// say sends a frame and expects the answer to it.
func (v *visitor) say() error {
	v.n++
	this := hello(v.n)
	if v.n > 1 {
		this = this[half:]
	}
	if _, err := v.conn.Write(append(this, hello(v.n + 1)[:half]...)); err != nil {
		return err
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(v.in, head); err != nil {
		return err
	}
	answer := make([]byte, head[1])
	if _, err := io.ReadFull(v.in, answer); err != nil {
		return err
	}
	if want := fmt.Sprintf("%d hello %d", v.n, v.n); string(answer) != want {
		return fmt.Errorf("the answer is %q, want %q", answer, want)
	}
	return nil
}

// TestWebsocketsAreCarried: a module takes a thousand open websockets over two
// reloads, while each says something all the time. None is closed, no frame is lost or
// answered twice, and what each session has counted goes on.
func TestWebsocketsAreCarried(t *testing.T) {
	const open = 1000
	p, s := newPrimary(t), socket(t)
	w := p.first((&sessions{open: make(map[*session]bool)}).run, s)
	visitors := make([]*visitor, open)
	for i := range visitors {
		visitors[i] = visit(t, s)
	}
	var said atomic.Int64
	turn := make(chan struct{}) // somebody waits for an answered frame
	ctx, leave := context.WithCancel(t.Context())
	ends := make(chan error, open)
	for _, v := range visitors {
		go func() {
			for ctx.Err() == nil {
				if err := v.say(); err != nil {
					ends <- err
					return
				}
				said.Add(1)
				select {
				case turn <- struct{}{}:
				default:
				}
			}
			ends <- nil
		}()
	}
	for range 2 {
		old := w
		w = p.follow(old, (&sessions{open: make(map[*session]bool)}).run, s)
		w.await(ipc.TypeReady)
		old.send(ipc.TypeDrain, ipc.Drain{LameDuck: soon, Deadline: 2 * soon})
		if d := old.drained(); d.Cut != 0 {
			t.Errorf("%d connections were cut", d.Cut)
		}
		must(t, old.exited())
		for range 100 {
			within(t, turn)
		}
	}
	leave()
	closed := 0
	for range visitors {
		if err := <-ends; err != nil {
			if closed++; closed == 1 {
				t.Errorf("a session ended: %v", err)
			}
		}
	}
	if closed > 0 {
		t.Errorf("%d of %d sessions ended", closed, open)
	}
	t.Logf("%d frames were answered over 2 reloads on %d websockets", said.Load(), open)
}
