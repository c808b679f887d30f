package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// unixPair are two ends of a connection between workers.
func unixPair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	return fds[0], fds[1]
}

// handOver asks old to drain and hand its connections over to next.
func (w *peer) handOver(next *peer, d ipc.Drain) {
	w.t.Helper()
	a, b := unixPair(w.t)
	next.send(ipc.TypeHandover, nil, a)
	w.send(ipc.TypeDrain, d, b)
	must(w.t, errors.Join(unix.Close(a), unix.Close(b)))
}

// move replaces the worker of a socket by the next one, which gets its
// connections.
func (p *primary) move(old *peer, run Run, s *inherit.Group) *peer {
	p.t.Helper()
	next := p.start(run, s)
	next.await(ipc.TypeReady)
	if old != nil {
		old.handOver(next, ipc.Drain{LameDuck: soon, Deadline: 2 * soon})
		old.await(ipc.TypeClosed)
	}
	return next
}

// echoes answers with the body of the request, so that a client can tell a
// byte that is lost or doubled.
func echoes(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintf(rw, "%s %s", r.URL.Path, body)
}

func echoing(ctx context.Context, w *Worker) error {
	return serving(&http.Server{Handler: http.HandlerFunc(echoes)})(ctx, w)
}

// kept is a client with one connection for its whole life.
type kept struct {
	conn net.Conn
	in   *bufio.Reader
	n    int
}

// text is the next request, with or without a body.
func (k *kept) text() (request, want string) {
	k.n++
	body := strings.Repeat("x", rand.IntN(2)*rand.IntN(9000))
	head := fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", k.n, len(body))
	if body == "" {
		head = fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: test\r\n\r\n", k.n)
	}
	return head + body, fmt.Sprintf("/%d %s", k.n, body)
}

// expect sends a request whose body waits until the server wants it (RFC 9110
// §10.1.1).
func (k *kept) expect() error {
	k.n++
	head := fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n", k.n)
	cut := rand.IntN(len(head))
	if err := k.pieces(head[:cut], head[cut:]); err != nil {
		return err
	}
	resp, err := http.ReadResponse(k.in, nil)
	if err != nil || resp.StatusCode != http.StatusContinue {
		return fmt.Errorf("expect: %v, %w", resp, err)
	}
	if err := k.pieces("abcd", "efgh"); err != nil {
		return err
	}
	return readAnswer(k.in, fmt.Sprintf("/%d abcdefgh", k.n))
}

// pieces sends text with pauses.
func (k *kept) pieces(all ...string) error {
	for _, piece := range all {
		if _, err := io.WriteString(k.conn, piece); err != nil {
			return err
		}
		time.Sleep(time.Duration(rand.IntN(int(3 * time.Millisecond)))) // a client's pause
	}
	return nil
}

// ask sends one to four requests in one to three writes, and reads the answers.
func (k *kept) ask() error {
	if rand.IntN(5) == 0 {
		return k.expect()
	}
	var all bytes.Buffer
	var wants []string
	for range 1 + rand.IntN(2)*rand.IntN(4) {
		request, want := k.text()
		all.WriteString(request)
		wants = append(wants, want)
	}
	for range rand.IntN(3) {
		if _, err := k.conn.Write(all.Next(rand.IntN(all.Len()))); err != nil {
			return err
		}
		time.Sleep(time.Duration(rand.IntN(int(3 * time.Millisecond)))) // a client's pause
	}
	if _, err := k.conn.Write(all.Bytes()); err != nil {
		return err
	}
	for i, want := range wants {
		if err := readAnswer(k.in, want); err != nil {
			return fmt.Errorf("answer %d of %d: %w", i+1, len(wants), err)
		}
	}
	return nil
}

// keepers are clients that never connect again.
type keepers struct {
	over   chan struct{}
	asked  atomic.Int64
	turn   chan struct{}
	failed chan error
	wg     sync.WaitGroup
}

func keep(t testing.TB, s *inherit.Group, n int) *keepers {
	t.Helper()
	all := &keepers{over: make(chan struct{}), turn: make(chan struct{}), failed: make(chan error, n)}
	for range n {
		c, in := client(t, s)
		must(t, c.SetDeadline(time.Now().Add(6*soon)))
		all.wg.Go(func() { all.run(&kept{conn: c, in: in}) })
	}
	return all
}

func (all *keepers) run(k *kept) {
	for {
		if err := k.ask(); err != nil {
			all.failed <- fmt.Errorf("request %d of a connection: %w", k.n, err)
			return
		}
		all.asked.Add(1)
		select {
		case <-all.over:
			return
		case all.turn <- struct{}{}:
		case <-time.After(time.Duration(rand.IntN(int(5 * time.Millisecond)))):
		}
	}
}

func (all *keepers) end(t testing.TB) {
	close(all.over)
	all.wg.Wait()
	close(all.failed)
	for err := range all.failed {
		t.Error(err)
	}
}

// TestMovedConnections: clients keep their connections over many workers, with
// requests in pieces, one behind the other, with and without bodies.
func TestMovedConnections(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	w := p.move(nil, echoing, s)
	all := keep(t, s, 30)
	moved := 0
	for range swaps {
		for range 40 {
			within(t, all.turn)
		}
		old := w
		w = p.move(old, echoing, s)
		d := old.drained()
		moved += d.Moved
		if d.Cut+d.Told+d.Finished > 0 {
			t.Errorf("drained %+v, want moved ones only", d)
		}
		if err := old.exited(); err != nil {
			t.Errorf("main: %v", err)
		}
	}
	all.end(t)
	if want := 30 * swaps; moved != want {
		t.Errorf("%d moved, want %d", moved, want)
	}
}

// TestMovedAtOnce: workers come and go faster than connections move.
func TestMovedAtOnce(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	w := p.move(nil, echoing, s)
	all := keep(t, s, 30)
	for range 5 {
		var olds []*peer
		for range 4 {
			olds = append(olds, w)
			w = p.move(w, echoing, s)
			for _, old := range olds[:len(olds)-1] {
				a, b := unixPair(t)
				w.send(ipc.TypeHandover, nil, a)
				_ = old.conn.Send(soon, ipc.TypeDrain, ipc.Drain{}, b) // it may have gone
				must(t, errors.Join(unix.Close(a), unix.Close(b)))
			}
		}
		for _, old := range olds {
			if d := old.drained(); d.Cut+d.Finished+d.Told > 0 {
				t.Errorf("drained %+v", d)
			}
		}
		for range 30 {
			within(t, all.turn)
		}
	}
	all.end(t)
}

// TestBadSuccessors: what a successor does not take is served on here.
func TestBadSuccessors(t *testing.T) {
	for name, successor := range map[string]func(*testing.T, *ipc.Conn){
		"dies at once":     func(t *testing.T, c *ipc.Conn) { must(t, c.Close()) },
		"says nothing":     func(*testing.T, *ipc.Conn) {},
		"dies of the move": func(t *testing.T, c *ipc.Conn) { _, _ = c.Receive(soon); must(t, c.Close()) },
		"takes none": func(t *testing.T, c *ipc.Conn) {
			m, err := c.Receive(soon)
			must(t, err)
			m.Discard()
			must(t, c.Send(soon, ipc.TypeMoved, ipc.Moved{Taken: make([]bool, m.FDs)}))
		},
		"answers nonsense": func(t *testing.T, c *ipc.Conn) {
			m, err := c.Receive(soon)
			must(t, err)
			m.Discard()
			must(t, c.Send(soon, ipc.TypeMoved, ipc.Moved{Taken: make([]bool, m.FDs+1)}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := socket(t)
			w := newPrimary(t).start(echoing, s)
			w.await(ipc.TypeReady)
			var clients []*kept
			for range 40 { // more than go into one message
				c, in := client(t, s)
				k := &kept{conn: c, in: in}
				must(t, k.ask())
				clients = append(clients, k)
			}
			a, b := unixPair(t)
			w.send(ipc.TypeDrain, ipc.Drain{LameDuck: soon, Deadline: 2 * soon}, b)
			must(t, unix.Close(b))
			successor(t, speak(t, a))
			for _, k := range clients {
				if err := k.last(); err != nil {
					t.Errorf("its last request: %v", err)
				}
			}
			if d := w.drained(); d.Moved != 0 || d.Cut != 0 || d.Finished+d.Told != len(clients) {
				t.Errorf("drained %+v", d)
			}
		})
	}
}

// last asks until the server says that it was the last answer.
func (k *kept) last() error {
	for {
		k.n++
		if _, err := fmt.Fprintf(k.conn, "GET /%d HTTP/1.1\r\nHost: test\r\n\r\n", k.n); err != nil {
			return err
		}
		err := readAnswer(k.in, fmt.Sprintf("/%d ", k.n))
		if errors.Is(err, errCloses) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
