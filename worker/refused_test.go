package worker

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// TestStateGoneConnectionRefused: a connection that the successor does not take,
// as one that drains already, is answered by the worker that has no state any more,
// and told to go.
func TestStateGoneConnectionRefused(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	_, m := counting("v1.0.0")
	w := p.first(withModules(m), s)
	client := &http.Client{Timeout: soon}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + addr(s))
	must(t, err)
	_, err = io.Copy(io.Discard, resp.Body) // else the client closes the connection
	must(t, errors.Join(err, resp.Body.Close()))

	a, b := unixPair(t)
	w.send(ipc.TypeYield, nil, b)
	must(t, unix.Close(b))
	next := ipc.NewConn(fileConn(t, a).(*net.UnixConn))
	defer next.Close()
	next.Trust(true)
	for state := (ipc.State{}); !state.Last; {
		take(t, next, ipc.TypeState, &state)
	}
	must(t, next.Send(soon, ipc.TypeTaken, ipc.Taken{Modules: []string{"counter"}}))
	take(t, next, ipc.TypeYours, nil)
	must(t, next.Send(soon, ipc.TypeReady, nil))
	var offer ipc.Move
	take(t, next, ipc.TypeMove, &offer)
	must(t, next.Send(soon, ipc.TypeMoved, ipc.Moved{Taken: make([]bool, len(offer.Connections))}))

	resp, err = client.Get("http://" + addr(s))
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || !resp.Close {
		t.Errorf("the answer is %s, the connection closes: %v", resp.Status, resp.Close)
	}
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
	must(t, w.exited())
}

// take reads a message of a kind.
func take(t *testing.T, c *ipc.Conn, kind string, body any) {
	t.Helper()
	m, err := c.Receive(soon)
	must(t, err)
	t.Cleanup(m.Discard) // the successor lives as long
	if m.Type != kind {
		t.Fatalf("%s, want %s", m.Type, kind)
	}
	if body != nil {
		must(t, m.Decode(body))
	}
}
