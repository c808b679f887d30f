package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

func newHooks(t *testing.T, c control.Control, dir string) *hooks {
	return &hooks{control: c, cluster: "shop", file: filepath.Join(dir, HooksFile), counted: newCounted(), start: lastEvent(t.Context(), c)}
}

func ran(t *testing.T, c *cluster, id string, all ...Hook) (lines func(n int) []string, stop func()) {
	dir := filepath.Dir(id)
	ctx, cancel := context.WithCancel(t.Context())
	h := newHooks(t, c, dir)
	done := make(chan error, 1)
	go func() { done <- h.run(ctx, t.Context(), all) }()
	lines = func(n int) []string {
		for {
			text, err := os.ReadFile(id)
			if got := strings.Fields(string(text)); err == nil && len(got) >= n {
				return got
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-t.Context().Done():
				t.Fatal("the test is over")
			}
		}
	}
	return lines, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestHooksGoOn: what a hook was told of is not told again by the next agent, and
// what happened between the two is.
func TestHooksGoOn(t *testing.T) {
	c := shop()
	file := filepath.Join(t.TempDir(), "ids")
	hook := Hook{Name: "note", Events: []string{"worker.dead"}, Run: []string{"sh", "-c", `echo "$NORESTART_EVENT_ID" >> "$0"`, file}, Timeout: time.Minute}
	dead := func() { c.tell(control.Event{Kind: control.EventWorkerDead, Worker: "web/0", Text: "a\x00b"}) }
	dead() // before there was a hook
	lines, stop := ran(t, c, file, hook)
	dead()
	c.tell(control.Event{Kind: control.EventWorkerReady, Worker: "web/0"})
	dead()
	want := []string{"1-2", "1-4"}
	if diff := cmp.Diff(want, lines(2)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	stop()
	dead()
	lines, stop = ran(t, c, file, hook)
	if diff := cmp.Diff(append(want, "1-5"), lines(3)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	stop()
}

// TestHookHangs: one that hangs holds up no other, and leaves nothing when its
// agent ends.
func TestHookHangs(t *testing.T) {
	c := shop()
	file := filepath.Join(t.TempDir(), "ids")
	cut, kill := context.WithCancel(t.Context())
	h := newHooks(t, c, filepath.Dir(file))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		err := h.run(ctx, cut, []Hook{
			{Name: "stuck", Events: []string{"*"}, Run: []string{"sh", "-c", `echo $$ >> "$0"; sleep 1000; :`, file + "p"}, Timeout: time.Hour},
			{Name: "note", Events: []string{"*"}, Run: []string{"sh", "-c", `echo "$NORESTART_EVENT_ID" >> "$0"`, file}, Timeout: time.Minute},
		})
		if err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		c.tell(control.Event{Kind: control.EventWorkerReady})
	}
	await(t, func() bool { return h.place("note").Seq == 3 })
	await(t, func() bool { // stuck has been started
		text, err := os.ReadFile(file + "p")
		return err == nil && len(text) > 0
	})
	cancel()
	kill()
	running.Wait()
	var told map[string]control.Cursor
	text, err := os.ReadFile(h.file)
	if err != nil || json.Unmarshal(text, &told) != nil {
		t.Fatal(err, string(text))
	}
	if told["note"].Seq != 3 || told["stuck"].Seq != 0 { // the next agent begins that one again
		t.Errorf("%+v", told)
	}
}

// TestHookRetries: with pauses that are doubled, and then it is given up.
func TestHookRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHooks(t, shop(), t.TempDir())
		begin := time.Now()
		hook := Hook{Name: "web", URL: "http://[", Timeout: time.Second, Retries: 3}
		if !h.tell(t.Context(), t.Context(), hook, happening{}) {
			t.Error("it was left to the next agent")
		}
		if took := time.Since(begin); took < 5600*time.Millisecond || took > 7*time.Second {
			t.Errorf("it took %v", took)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if h.tell(ended, t.Context(), hook, happening{}) {
			t.Error("it was not left to the next agent")
		}
	})
}

func TestPost(t *testing.T) {
	var got happening
	answers := map[string]int{"/ok": 204, "/bad": 503, "/moved": 302}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Error(r.Method, r.Header, err)
		}
		if r.URL.Path == "/slow" {
			<-r.Context().Done() // of the body nothing is left to be read, so the end of the connection is seen
			return
		}
		w.Header().Set("Location", "/ok")
		w.WriteHeader(answers[r.URL.Path])
	}))
	defer s.Close()
	what := happening{Version: 1, ID: "1-2", Cluster: "shop", Event: "worker.dead", Text: "x", Time: time.Unix(1, 0).UTC()}
	for path, want := range map[string]string{
		"/ok": "", "/bad": "it answered 503 Service Unavailable", "/moved": "it answered 302 Found", "/slow?secret": "it took longer than 50ms",
	} {
		timeout := time.Minute
		if strings.HasPrefix(path, "/slow") {
			timeout = 50 * time.Millisecond
		}
		err := Hook{URL: s.URL + path, Timeout: timeout}.once(t.Context(), what)
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	s.Close() // waits for the slow one, too; again at the end, which does nothing
	if diff := cmp.Diff(what, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if err := (Hook{URL: s.URL + "/secret", Timeout: time.Minute}).once(t.Context(), what); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestMatching(t *testing.T) {
	ended := []string{"job.ended", "worker-restart.failed"}
	for want, patterns := range map[string][]string{
		"worker-restart.failed": {"*"}, "job.ended": {"job.*", "reload.*"}, "": {"worker.*", "reload.failed"},
	} {
		if got := matching(patterns, ended); got != want {
			t.Errorf("%v: %q, want %q", patterns, got, want)
		}
	}
}

func TestTail(t *testing.T) {
	var said tail
	for _, text := range []string{"first\n", strings.Repeat("x", 3*tailRoom), "\nla", "st\n\n"} {
		if n, err := said.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	if said.line() != "last" || len(said.kept) > tailRoom {
		t.Errorf("%q of %d", said.line(), len(said.kept))
	}
}

// TestEvents: docs/hooks.md has every kind of event.
func TestEvents(t *testing.T) {
	text, err := os.ReadFile("../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.FieldsFunc(string(text), func(r rune) bool { return r == '`' })
	for _, k := range control.EventKinds() {
		if !slices.Contains(words, string(k)) {
			t.Errorf("%s is missing", k)
		}
	}
}
