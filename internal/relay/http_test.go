package relay

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/ipc"
)

// answers is a program that speaks HTTP.
func answers(t *testing.T, handle http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s, strings.TrimPrefix(s.URL, "http://")
}

// TestForwarded: a request has the address of its client, and none that it says
// itself; the name of the host stays.
func TestForwarded(t *testing.T) {
	_, addr := answers(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s", r.Host, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Host"], r.Header["X-Forwarded-Proto"], body)
	})
	p := newPool(Pool{Name: "web", Forwarded: true}, nil)
	p.update(ipc.Upstreams{Serving: []ipc.Upstream{{Incarnation: 1, Addr: addr}}}, nil)
	front := httptest.NewServer(p.server().Handler)
	defer front.Close()
	defer p.update(ipc.Upstreams{}, nil)
	req, err := http.NewRequest(http.MethodPost, front.URL, strings.NewReader("hello"))
	must(t, err)
	req.Host = "shop.example"
	req.Header.Set("X-Forwarded-For", "6.6.6.6")
	res, err := front.Client().Do(req)
	must(t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if want := "shop.example [127.0.0.1] [shop.example] [http] hello"; string(got) != want || err != nil {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

// TestForwardedElsewhere: a request that a process refuses goes to another one, with
// its body, and no process ends while it owes an answer.
func TestForwardedElsewhere(t *testing.T) {
	gone, refuses := answers(t, nil)
	gone.Close()
	asked, answer := make(chan struct{}), make(chan struct{})
	var n atomic.Int32
	_, addr := answers(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		close(asked)
		<-answer
		_, _ = io.Copy(w, r.Body)
	})
	told := make(chan uint64, 1)
	p := newPool(Pool{Name: "web", Forwarded: true}, func(l ipc.Left) { told <- l.Incarnation })
	over := make(chan struct{})
	p.update(ipc.Upstreams{Serving: []ipc.Upstream{{Incarnation: 1, Addr: refuses}, {Incarnation: 2, Addr: addr}}}, over)
	front := httptest.NewServer(p.server().Handler)
	defer front.Close()
	defer p.waits.Wait()
	defer close(over)
	got := make(chan string, 1)
	go func() {
		res, err := front.Client().Post(front.URL, "text/plain", strings.NewReader("hello"))
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		got <- fmt.Sprintf("%d %s", res.StatusCode, body)
	}()
	<-asked
	p.update(ipc.Upstreams{Leaving: []uint64{2}}, over)
	select {
	case <-told:
		t.Error("it may end, and owes an answer")
	case <-time.After(10 * lookEvery):
	}
	close(answer)
	if text := <-got; text != "200 hello" || n.Load() != 1 {
		t.Errorf("%s, asked %d times", text, n.Load())
	}
	select {
	case <-told:
	case <-time.After(time.Minute):
		t.Error("it may never end")
	}
}
