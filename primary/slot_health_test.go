package primary

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// TestProbed: what probes find counts for the process that serves alone, and only in
// a row.
func TestProbed(t *testing.T) {
	type probes = string // of the process that serves: + passes, - fails
	ask := func(w *world, inc uint64, all probes) (done []string) {
		for _, r := range all {
			done = append(done, w.step(input{kind: hProbed, inc: inc, clean: r == '+', why: "GET /: 503"})...)
		}
		return done
	}
	up := func(w *world) {
		w.step(input{kind: hWant, want: wantRun})
		w.step(input{kind: hReady, inc: 1})
	}
	successor := func(w *world) {
		w.step(input{kind: hPrepare, gen: 1})
		w.step(input{kind: hReady, inc: w.next.inc})
		w.step(input{kind: hCommit})
	}
	tests := map[string]struct {
		live   control.Probe
		do     func(*world)
		health control.Health
		done   []string
		state  control.State
	}{
		"nothing yet":    {do: func(*world) {}, health: ""},
		"passes":         {do: func(w *world) { ask(w, 1, "+") }, health: control.Passing},
		"fails twice":    {do: func(w *world) { ask(w, 1, "+--") }, health: control.Failing},
		"not in a row":   {do: func(w *world) { ask(w, 1, "--+--+--") }, health: control.Failing},
		"three in a row": {do: func(w *world) { ask(w, 1, "---") }, health: control.Unhealthy},
		"stays so":       {do: func(w *world) { ask(w, 1, "------") }, health: control.Unhealthy},
		"healthy again":  {do: func(w *world) { ask(w, 1, "---+") }, health: control.Passing},
		"start period":   {live: control.Probe{StartPeriod: time.Minute}, do: func(w *world) { ask(w, 1, "---") }, health: ""},
		"after it": {live: control.Probe{StartPeriod: time.Minute}, do: func(w *world) {
			w.pass(time.Minute)
			ask(w, 1, "---")
		}, health: control.Unhealthy},
		"of one that starts": {do: func(w *world) {
			w.exit(1, false)
			ask(w, 2, "---")
		}, health: "", state: control.Starting},
		"of one that has gone": {do: func(w *world) {
			w.exit(1, false)
			w.step(input{kind: hReady, inc: 2})
			ask(w, 1, "---")
		}, health: ""},
		"of one that drains": {do: func(w *world) {
			w.step(input{kind: hWant, want: wantStopped})
			ask(w, 1, "---")
		}, health: "", state: control.Draining},
		"of a successor": {do: func(w *world) {
			w.step(input{kind: hPrepare, gen: 1})
			w.step(input{kind: hReady, inc: 2})
			ask(w, 2, "---")
		}, health: ""},
		"of a predecessor": {do: func(w *world) {
			successor(w)
			ask(w, 1, "---")
		}, health: ""},
		"replaced: the count begins anew": {do: func(w *world) {
			ask(w, 1, "---")
			successor(w)
			ask(w, 2, "--")
		}, health: control.Failing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.live.Fail = 3
			w := newWorld(control.PoolSpec{Live: &test.live}, false)
			up(w)
			test.do(w)
			if test.state == "" {
				test.state = control.Ready
			}
			if got := w.cur.health.word(); got != test.health || w.state() != test.state {
				t.Errorf("health %q in state %s, want %q in %s", got, w.state(), test.health, test.state)
			}
		})
	}
	w := newWorld(control.PoolSpec{Live: &control.Probe{Fail: 2}}, false)
	up(w)
	want := []string{"health is unhealthy: GET /: 503 (2 times in a row)", "health is healthy again"}
	if diff := cmp.Diff(want, ask(w, 1, "-----++")); diff != "" {
		t.Errorf("what is told (-want +got):\n%s", diff)
	}
	w = newWorld(control.PoolSpec{}, false)
	up(w)
	if ask(w, 1, "------"); w.cur.health != (health{}) {
		t.Error("a pool without a probe has a health")
	}
}

// TestCure: an unhealthy process is replaced, its successor first. That is an end like
// others: its slot is given up after too many, but not while no other worker is well.
func TestCure(t *testing.T) {
	w := newWorld(control.PoolSpec{MaxRestarts: 2, Within: time.Minute, Live: &control.Probe{Fail: 1}}, false)
	w.step(input{kind: hWant, want: wantRun})
	w.step(input{kind: hReady, inc: 1})
	if done := w.step(input{kind: hCure, inc: 1, others: true}); done != nil {
		t.Errorf("a healthy one: %q", done)
	}
	cure := func(others bool) string {
		w.step(input{kind: hProbed, inc: w.cur.inc, why: "503"})
		done := strings.Join(w.step(input{kind: hCure, inc: w.cur.inc, others: others}), "; ")
		if strings.HasPrefix(done, "cure") {
			w.step(input{kind: hPrepare, gen: w.gen})
			w.step(input{kind: hReady, inc: w.next.inc})
			w.step(input{kind: hCommit})
		}
		return done
	}
	for n := range 2 {
		if done := cure(true); done != "cure 503 (once in a row)" || w.restarts != n+1 || w.crashes.Count != n+1 {
			t.Errorf("%q, %d restarts, %d crashes, want %d", done, w.restarts, w.crashes.Count, n+1)
		}
	}
	if done := cure(false); !strings.HasPrefix(done, "cure") {
		t.Errorf("no other worker is well: %q", done)
	}
	if done := cure(true); done != "report is ended, as its replacements did not help: 503 (once in a row); term 4; timer 5s" {
		t.Errorf("too often: %q", done)
	}
	w.exit(w.cur.inc, true)
	if w.state() != control.Dead || w.crashes.Count != 4 {
		t.Errorf("it is %s after %d crashes", w.state(), w.crashes.Count)
	}
	// After its time, and by an operator, it begins anew.
	w.step(input{kind: hRevive})
	w.step(input{kind: hReady, inc: w.cur.inc})
	if done := cure(true); !strings.HasPrefix(done, "cure") || w.restarts == 0 {
		t.Errorf("revived: %q", done)
	}
}
