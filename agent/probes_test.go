package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// asks is a cluster with one worker that is asked.
func asks(live, ready *control.Probe, w control.WorkerInfo) *cluster {
	w.ID, w.Pool, w.Incarnation = "web/0", "web", 7
	return &cluster{
		spec:    control.Spec{Pools: []control.PoolSpec{{Name: "web", Program: &control.Program{Dir: "/", Env: []string{"MINE=yes"}}, Live: live, ReadyProbe: ready}}},
		workers: []control.WorkerInfo{w},
	}
}

func askAll(t *testing.T, c *cluster) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	lock := filepath.Join(t.TempDir(), ProbesLock)
	go func() {
		defer close(done)
		newProbes(c, newCounted()).run(ctx, lock)
	}()
	return func() { cancel(); <-done }
}

func (c *cluster) hears(t *testing.T, failure string) {
	t.Helper()
	await(t, func() bool {
		return slices.ContainsFunc(c.found(), func(f string) bool { return f == failure || failure != "" && strings.Contains(f, failure) })
	})
}

// TestProbe: what passes, and what is told of what does not.
func TestProbe(t *testing.T) {
	hosts := make(chan string, 1)
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		switch r.URL.Path {
		case "/sick":
			http.Error(w, "no database\nmore", http.StatusServiceUnavailable)
		case "/hangs":
			<-hang
		case "/moved":
			http.Redirect(w, r, "/sick", http.StatusFound)
		}
	}))
	defer server.Close()
	defer close(hang)
	addr := strings.TrimPrefix(server.URL, "http://")
	gone := httptest.NewServer(nil)
	gone.Close()
	tests := map[string]struct {
		probe   control.Probe
		private string
		want    string // part of it; empty: it passes
		host    string
	}{
		"path":            {probe: control.Probe{HTTP: "/"}, private: addr, host: "localhost"},
		"path, its host":  {probe: control.Probe{HTTP: "/", Host: "shop.example"}, private: addr, host: "shop.example"},
		"URL":             {probe: control.Probe{HTTP: server.URL}, host: addr},
		"moved":           {probe: control.Probe{HTTP: "/moved"}, private: addr, host: "localhost"},
		"sick":            {probe: control.Probe{HTTP: "/sick"}, private: addr, want: "GET /sick: 503 Service Unavailable: no database", host: "localhost"},
		"hangs":           {probe: control.Probe{HTTP: "/hangs"}, private: addr, want: "GET /hangs: no answer within 300ms", host: "localhost"},
		"nobody":          {probe: control.Probe{HTTP: gone.URL}, want: "connection refused"},
		"nobody, private": {probe: control.Probe{TCP: control.TCPPort}, private: strings.TrimPrefix(gone.URL, "http://"), want: "tcp PORT: dial tcp 127.0.0.1"},
		"no address":      {probe: control.Probe{TCP: control.TCPPort}, want: "tcp PORT: it has no address of its own"},
		"tcp":             {probe: control.Probe{TCP: addr}},
		"tcp, private":    {probe: control.Probe{TCP: control.TCPPort}, private: addr},
		"program":         {probe: control.Probe{Exec: []string{"sh", "-c", `test "$MINE $NORESTART_POOL $NORESTART_SLOT $NORESTART_PID" = "yes web 0 4711"`}}},
		"program fails":   {probe: control.Probe{Exec: []string{"sh", "-c", "echo first; echo last; exit 3"}}, want: ": exit status 3: last"},
		"program hangs":   {probe: control.Probe{Exec: []string{"sleep", "1000"}}, want: "sleep 1000: no answer within 300ms"},
		"no program":      {probe: control.Probe{Exec: []string{"/no/such"}}, want: "no such file or directory"},
	}
	p := newProbes(nil, newCounted())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.probe.Timeout = 300 * time.Millisecond
			if test.want == "" {
				test.probe.Timeout = time.Minute
			}
			a := &asking{id: "web/0", probe: &test.probe, pool: asks(nil, nil, control.WorkerInfo{}).spec.Pools[0]}
			a.at.Store(&place{4711, test.private})
			err := p.ask(t.Context(), a)
			if got := fmt.Sprint(err); (err == nil) != (test.want == "") || !strings.Contains(got, test.want) && err != nil {
				t.Errorf("%v, want %q", err, test.want)
			}
			host := ""
			if len(hosts) > 0 {
				host = <-hosts
			}
			if host != test.host {
				t.Errorf("the host was %q, want %q", host, test.host)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestProbeLate: what an agent finds that stood still meanwhile counts for nothing.
func TestProbeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProbes(nil, newCounted())
		away := 500 * time.Millisecond
		p.client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			time.Sleep(away)
			return nil, r.Context().Err()
		})
		a := &asking{probe: &control.Probe{HTTP: "http://127.0.0.1:1/", Timeout: 2 * time.Second}}
		a.at.Store(&place{})
		if err := p.ask(t.Context(), a); err == nil || errors.Is(err, errLate) {
			t.Errorf("in time: %v", err)
		}
		away = time.Minute
		if err := p.ask(t.Context(), a); !errors.Is(err, errLate) {
			t.Errorf("a minute late: %v", err)
		}
	})
}

// TestProbesTell: the primary is told each failure, and once that a worker passes,
// and again if it does not know.
func TestProbesTell(t *testing.T) {
	sick := filepath.Join(t.TempDir(), "sick")
	probe := &control.Probe{Exec: []string{"sh", "-c", `echo . >> "$0.log"; test ! -e "$0"`, sick}, Every: time.Millisecond, Timeout: time.Minute}
	c := asks(probe, nil, control.WorkerInfo{State: control.Ready})
	stop := askAll(t, c)
	defer stop()
	c.hears(t, "")
	c.mu.Lock()
	c.probed, c.workers[0].Health = nil, control.Passing
	c.mu.Unlock()
	if err := (Hook{Run: []string{"touch", sick}, Timeout: time.Minute}).once(t.Context(), happening{}); err != nil {
		t.Fatal(err)
	}
	c.hears(t, "exit status 1")
	if got := c.found(); got[0] == "" {
		t.Errorf("what it knew was told again: %q", got)
	}
	if err := (Hook{Run: []string{"rm", sick}, Timeout: time.Minute}).once(t.Context(), happening{}); err != nil {
		t.Fatal(err)
	}
	c.hears(t, "")
	c.mu.Lock()
	c.probed, c.workers[0].Health = nil, "" // another primary
	c.mu.Unlock()
	c.tell(control.Event{Kind: control.EventWorkerAdopted, Worker: "web/0"})
	c.hears(t, "")
	stop()
	if diff := cmp.Diff(control.ProbedRequest{ID: "web/0", Incarnation: 7, Live: true}, c.probed[len(c.probed)-1]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestProbesAsk: those that start are asked whether they are ready, the one that
// serves whether it works; at a fixed address only while it is the only process.
func TestProbesAsk(t *testing.T) {
	own, fixed := &control.Probe{HTTP: "/"}, &control.Probe{TCP: "127.0.0.1:1"}
	successor := &control.Process{Incarnation: 8, State: control.Starting, Private: "127.0.0.1:20001"}
	tests := map[string]struct {
		live, ready *control.Probe
		worker      control.WorkerInfo
		want        []subject
	}{
		"starts":                    {live: own, ready: own, worker: control.WorkerInfo{State: control.Starting}, want: []subject{{7, false}}},
		"serves":                    {live: own, ready: own, worker: control.WorkerInfo{State: control.Ready}, want: []subject{{7, true}}},
		"drains":                    {live: own, ready: own, worker: control.WorkerInfo{State: control.Draining}},
		"has a successor":           {live: own, ready: own, worker: control.WorkerInfo{State: control.Ready, Successor: successor}, want: []subject{{7, true}, {8, false}}},
		"fixed, has a successor":    {live: fixed, worker: control.WorkerInfo{State: control.Ready, Successor: successor}},
		"fixed, a predecessor":      {live: fixed, worker: control.WorkerInfo{State: control.Ready, Outgoing: []control.Process{{}}}},
		"fixed, the only process":   {live: fixed, worker: control.WorkerInfo{State: control.Ready}, want: []subject{{7, true}}},
		"tells itself when, serves": {live: own, worker: control.WorkerInfo{State: control.Starting}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newProbes(asks(test.live, test.ready, test.worker), newCounted())
			todo, err := p.subjects(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []subject
			for s := range todo {
				got = append(got, s)
			}
			slices.SortFunc(got, func(a, b subject) int { return int(a.inc) - int(b.inc) })
			if !slices.Equal(got, test.want) {
				t.Errorf("asked: %v, want %v", got, test.want)
			}
		})
	}
}
