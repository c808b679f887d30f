package worker

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// serving is a worker whose ServeHTTP uses srv.
func serving(srv *http.Server) Run {
	return func(ctx context.Context, w *Worker) error {
		ln, err := w.Listener("web")
		if err != nil {
			return err
		}
		return w.ServeHTTP(ctx, srv, ln)
	}
}

// client is a connection to a socket that ends with the test.
func client(t testing.TB, s *inherit.Group) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr(s))
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(soon)))
	return c, bufio.NewReader(c)
}

// TestInFlightIsFinished: a request that has begun is answered, however the
// lame duck, and told that it was the last.
func TestInFlightIsFinished(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	s := socket(t)
	w := newPrimary(t).start(serving(&http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		close(begun)
		<-release
		time.Sleep(50 * time.Millisecond) // it is in flight for a while
		answer(rw, r)
	})}), s)
	w.await(ipc.TypeReady)
	c, in := client(t, s)
	done := make(chan error, 1)
	go func() { done <- question(c, in, true) }()
	within(t, begun)
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
	w.await(ipc.TypeClosed)
	close(release)
	if err := <-done; !errors.Is(err, errCloses) {
		t.Errorf("%v, want an answer that is the last", err)
	}
	if d := w.drained(); d.Finished != 1 || d.Cut != 0 {
		t.Errorf("drained %+v", d)
	}
}

// TestInFlightIsCut at the deadline, and reported.
func TestInFlightIsCut(t *testing.T) {
	begun := make(chan struct{})
	s := socket(t)
	w := newPrimary(t).start(serving(&http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})}), s)
	w.await(ipc.TypeReady)
	c, in := client(t, s)
	done := make(chan error, 1)
	go func() { done <- question(c, in, true) }()
	within(t, begun)
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: 50 * time.Millisecond})
	w.await(ipc.TypeClosed)
	if d := w.drained(); d.Cut != 1 {
		t.Errorf("drained %+v", d)
	}
	if err := <-done; err == nil {
		t.Error("the client got an answer")
	}
}

// TestAcceptedBeforeItsRequest: a connection that was accepted is served, even
// without a lame duck.
func TestAcceptedBeforeItsRequest(t *testing.T) {
	s := socket(t)
	accepted := make(chan struct{})
	var once sync.Once
	srv := &http.Server{Handler: http.HandlerFunc(answer), ConnState: func(net.Conn, http.ConnState) { once.Do(func() { close(accepted) }) }}
	w := newPrimary(t).start(serving(srv), s)
	w.await(ipc.TypeReady)
	c, in := client(t, s)
	within(t, accepted)
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
	w.await(ipc.TypeClosed)
	if err := question(c, in, true); !errors.Is(err, errCloses) {
		t.Errorf("%v, want an answer that is the last", err)
	}
}

// TestIdleConnections have the lame duck for a last request.
func TestIdleConnections(t *testing.T) {
	s := socket(t)
	w := newPrimary(t).start(serving(&http.Server{Handler: http.HandlerFunc(answer)}), s)
	w.await(ipc.TypeReady)
	asks, in := client(t, s)
	must(t, question(asks, in, true))
	idle, idleIn := client(t, s)
	must(t, question(idle, idleIn, true))
	w.send(ipc.TypeDrain, ipc.Drain{LameDuck: 2 * time.Second, Deadline: soon})
	w.await(ipc.TypeClosed)
	if err := question(asks, in, true); !errors.Is(err, errCloses) {
		t.Errorf("a request in the lame duck: %v, want an answer that is the last", err)
	}
	w.drained()
	if _, err := idleIn.ReadByte(); err != io.EOF {
		t.Errorf("the idle one: %v, want %v", err, io.EOF)
	}
}

// TestFarewell: a handler that has taken its connection over says goodbye when
// the worker drains; that one counts as told.
func TestFarewell(t *testing.T) {
	s := socket(t)
	srv := new(http.Server)
	w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
		srv.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				return
			}
			over := make(chan struct{})
			defer w.Farewell(func(context.Context) {
				_, _ = io.WriteString(c, "goodbye\n")
				close(over)
			})()
			_, _ = io.WriteString(c, "hello\n")
			<-over
			_ = c.Close()
		})
		return serving(srv)(ctx, w)
	}, s)
	w.await(ipc.TypeReady)
	c, in := client(t, s)
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	must(t, err)
	line, err := in.ReadString('\n')
	must(t, err)
	for b := (ipc.Beat{}); b.Hijacked != 1; {
		m := w.await(ipc.TypeBeat)
		must(t, m.Decode(&b))
	}
	w.send(ipc.TypeDrain, ipc.Drain{LameDuck: soon, Deadline: 2 * soon})
	rest, err := io.ReadAll(in)
	if text := line + string(rest); err != nil || text != "hello\ngoodbye\n" {
		t.Errorf("the client read %q, %v", text, err)
	}
	if d := w.drained(); d != (ipc.Drained{Told: 1}) {
		t.Errorf("drained %+v, want 1 told", d)
	}
}

// echo takes a connection over and sends back what comes.
func echo(rw http.ResponseWriter, _ *http.Request) {
	c, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(c, buf)
}

func TestHijackedConnections(t *testing.T) {
	for name, test := range map[string]struct {
		deadline time.Duration
		leaves   bool
		cut      int
	}{
		"ends by itself":      {soon, true, 0},
		"cut at the deadline": {200 * time.Millisecond, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := socket(t)
			w := newPrimary(t).start(serving(&http.Server{Handler: http.HandlerFunc(echo)}), s)
			w.await(ipc.TypeReady)
			c, in := client(t, s)
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			must(t, err)
			resp, err := http.ReadResponse(in, nil)
			must(t, err)
			must(t, resp.Body.Close())
			w.send(ipc.TypeDrain, ipc.Drain{Deadline: test.deadline})
			w.await(ipc.TypeClosed)
			if test.leaves {
				_, err = io.WriteString(c, "still here\n")
				must(t, err)
				if line, err := in.ReadString('\n'); err != nil || line != "still here\n" {
					t.Errorf("%q, %v", line, err)
				}
				must(t, c.Close())
			}
			if d := w.drained(); d.Cut != test.cut {
				t.Errorf("drained %+v, want %d cut", d, test.cut)
			}
		})
	}
}

// wrapped is a listener around another, as of TLS.
type wrapped struct{ net.Listener }

func TestListenersOfItsOwn(t *testing.T) {
	for name, listen := range map[string]func(*Worker) (net.Listener, error){
		"around the worker's": func(w *Worker) (net.Listener, error) {
			ln, err := w.Listener("web")
			return wrapped{ln}, err
		},
		"not the worker's": func(*Worker) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
				ln, err := listen(w)
				if err != nil {
					return err
				}
				return w.ServeHTTP(ctx, &http.Server{Handler: http.HandlerFunc(answer)}, ln)
			}, socket(t))
			w.await(ipc.TypeReady)
			w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
			w.await(ipc.TypeClosed)
			w.drained()
			if err := w.exited(); err != nil {
				t.Errorf("main: %v", err)
			}
		})
	}
}

func TestServerClosedByItsOwner(t *testing.T) {
	srv := &http.Server{Handler: http.HandlerFunc(answer)}
	w := newPrimary(t).start(serving(srv), socket(t))
	w.await(ipc.TypeReady)
	must(t, srv.Close())
	if err := w.exited(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("main: %v, want %v", err, http.ErrServerClosed)
	}
}

// TestSwapHTTP2: clients are told to go elsewhere (GOAWAY) and lose nothing.
func TestSwapHTTP2(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) { swapHTTP2(t, name, way.serve) })
	}
}

func swapHTTP2(t *testing.T, name string, serve func(*http.Server) Run) {
	h2 := func(ctx context.Context, w *Worker) error {
		return serve(&http.Server{Handler: http.HandlerFunc(answer)})(ctx, w)
	}
	p, s := newPrimary(t), socket(t)
	w := p.swap(nil, h2, s)
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	scheme := "https"
	if transport.Protocols.SetHTTP2(true); name == "without TLS" {
		transport.Protocols.SetUnencryptedHTTP2(true)
		scheme = "http"
	}
	defer transport.CloseIdleConnections()
	over, turn := make(chan struct{}), make(chan struct{})
	var failed, asked atomic.Int64
	var clients sync.WaitGroup
	for range 6 {
		clients.Go(func() {
			for {
				if err := get2(transport, scheme+"://"+addr(s)); err != nil {
					failed.Add(1)
					t.Error(err)
				}
				asked.Add(1)
				select {
				case <-over:
					return
				case turn <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 15 {
		old := w
		w = p.swap(old, h2, s)
		old.drained()
		_ = old.exited()
		for range 10 {
			within(t, turn)
		}
	}
	close(over)
	clients.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d failed", n, asked.Load())
	}
}

func get2(transport *http.Transport, url string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.ProtoMajor != 2 || string(body) != "hello") {
		err = errors.New(strings.Join([]string{resp.Proto, string(body)}, " "))
	}
	return err
}
