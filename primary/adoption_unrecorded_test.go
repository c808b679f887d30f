package primary

import (
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/proc/proctest"
)

// TestUnrecorded: a process in no record, for the primary was killed just after it
// had started it, gets the place that is empty, or retires.
func TestUnrecorded(t *testing.T) {
	for name, test := range map[string]struct {
		slot, gen int
		want      []uint64
	}{
		"its slot is empty":    {1, 1, []uint64{11, 12}},
		"its slot is taken":    {0, 1, []uint64{11, 1001}},
		"a lost generation":    {1, 7, []uint64{11, 1001}},
		"beyond the target":    {5, 1, []uint64{11, 1001}},
		"beyond all slots":     {600, 1, []uint64{11, 1001}},
		"its slot was stopped": {2, 1, []uint64{11, 1001}},
		"who served has gone":  {1, 1, []uint64{11, 12}},
		"who served: a zombie": {1, 1, []uint64{11, 12}},
	} {
		t.Run(name, func(t *testing.T) {
			spec := aged("web", 2)
			if test.slot == 2 {
				spec.Workers = 3
			}
			l := newSurvivors(t, spec)
			if test.slot == 2 {
				l.pool().Slots[2].Want = int(wantStopped)
			}
			first := l.serving(0, 11)
			switch name {
			case "who served has gone":
				l.pool().Slots[1].Cur = &processRecord{Inc: 10, Gen: 1, PID: 1 << 22, Start: 1}
			case "who served: a zombie":
				l.pool().Slots[1].Cur = l.zombie()
			}
			unrecorded := l.survivor(test.slot, test.gen, 12)
			refused := soon
			if test.slot >= 512 {
				refused = 50 * time.Millisecond // it never joins
			}
			l.comeBack(unrecorded, func(h *ipc.Hello) { h.Ready = true })
			l.comeBack(first, func(h *ipc.Hello) { // the unrecorded one comes first
				ready(h)
				select {
				case <-unrecorded.joined:
				case <-unrecorded.dead:
				case <-time.After(refused):
				}
			})
			l.next2()
			got := l.incarnations()
			if len(got) > 2 {
				got = got[:2]
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("incarnations (-want +got):\n%s", d)
			}
			if test.want[1] != 12 && test.slot < 512 {
				within(t, unrecorded.dead)
			}
			if test.slot >= 512 { // refused: it drains by itself
				unrecorded.Exit(0)
			}
		})
	}
}

// zombie is a process that has ended, with status 0, and was not reaped.
func (l *survivors) zombie() *processRecord {
	p, err := l.script.Start(proc.Command{Path: "zombie"})
	must(l.t, err)
	a := &actor{Process: p.(*proctest.Process), boot: ipc.Boot{Generation: 1, Incarnation: 10}}
	a.Exit(0)
	l.survivors = append(l.survivors, a)
	return a.registered(true)
}

// TestUnrecordedLeaves: one whose slot is taken is asked once, by a message if it
// serves: TERM after that would cut what it has in hand.
func TestUnrecordedLeaves(t *testing.T) {
	for name, test := range map[string]struct {
		say  truth
		want string // the signal that ends it
	}{
		"ready":     {ready, ""},
		"not ready": {func(*ipc.Hello) {}, "SIGTERM"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newSurvivors(t, aged("web", 1))
			first, unrecorded := l.serving(0, 11), l.survivor(0, 1, 12)
			l.comeBack(unrecorded, test.say)
			l.comeBack(first, ready)
			l.next()
			within(t, unrecorded.dead)
			if got := l.exitOf("web/0", 12); got.Signal != test.want {
				t.Errorf("the unrecorded one ended with %+v, want signal %q", got, test.want)
			}
		})
	}
}

// exitOf is how a process ended, which may still be on its way.
func (l *survivors) exitOf(id string, inc uint64) control.Exit {
	l.t.Helper()
	for {
		w, err := control.Get(l.context(), l.ctl, control.WorkerQuery{ID: id})
		must(l.t, err)
		for _, e := range w.Exits {
			if e.Incarnation == inc {
				return e
			}
		}
	}
}

// next2 is next for a cluster that need not be ready as a whole.
func (l *survivors) next2() {
	l.t.Helper()
	l.start()
	ctx := l.context()
	for {
		if st, err := control.Get(ctx, l.ctl, control.StatusQuery{}); err == nil && st.Pools[0].Ready >= 2 {
			return
		}
		select {
		case <-ctx.Done():
			l.t.Fatalf("two workers do not become ready: %v", l.incarnations())
		case <-time.After(time.Millisecond):
		}
	}
}

// TestForgedUnrecorded: who has not the secret, or whose incarnation was given out
// by nobody, is refused.
func TestForgedUnrecorded(t *testing.T) {
	l := newSurvivors(t, quick("web", 1))
	l.next()
	for name, test := range map[string]struct {
		inc    uint64
		change func(*ipc.Hello)
	}{
		"a wrong secret":           {12, func(h *ipc.Hello) { h.Secret[0]++ }},
		"another's slot":           {12, func(h *ipc.Hello) { h.Worker = "web/1" }},
		"another pool":             {12, func(h *ipc.Hello) { h.Worker = "wob/0"; h.Secret = secret(l.key, "wob/0", 1, 12) }},
		"of this primary, and old": {1500, func(*ipc.Hello) {}},
		"not for control":          {12, func(h *ipc.Hello) { h.Purpose = ipc.PurposeRequest }},
	} {
		a := l.survivor(0, 1, test.inc)
		h := a.hello(ipc.PurposeControl)
		test.change(&h)
		conn, _, err := ipc.Open(l.context(), a.dial, h)
		if err == nil {
			conn.Close()
		}
		if err == nil || err.Error() != "hello refused" {
			t.Errorf("%s: %v", name, err)
		}
		a.Exit(0)
	}
}

// TestUnrecordedHoldsAddress: the record names nobody who lives, but somebody holds
// the address: he gives it back, and is not taken for another program.
func TestUnrecordedHoldsAddress(t *testing.T) {
	l := newSurvivors(t, aged("web", 1))
	l.cfg.Spec.Pools[0].Listen = []string{l.sockets.Addr()}
	l.comeBack(l.survivor(0, 1, 12), ready)
	l.next()
	if d := cmp.Diff([]uint64{12}, l.incarnations()); d != "" {
		t.Errorf("incarnations (-want +got):\n%s", d)
	}
	if got := l.listens(); got != l.sockets.Addr() {
		t.Errorf("it listens on %s, the survivor on %s", got, l.sockets.Addr())
	}
}

// TestExpectedHolder: a worker of this cluster that holds the address is waited for
// beyond the time in which it should have said hello, for it may be starved; one
// that does not name this cluster is not.
func TestExpectedHolder(t *testing.T) {
	l := &loop{cfg: Config{Run: "/run/shop"}, post: func(event) bool { return true }}
	l.queue.begun, l.queue.passed = time.Now().Add(-time.Hour), time.Now().Add(-time.Minute) // all that looked for a primary were heard
	for _, tt := range []struct {
		name   string
		env    []string
		within bool // the time
		want   bool
	}{
		{"of this cluster", []string{RoleVariable + "=" + RoleWorker, RunVariable + "=/run/shop"}, false, true},
		{"of another", []string{RoleVariable + "=" + RoleWorker, RunVariable + "=/run/other"}, false, false},
		{"of an earlier commit, in time", []string{RoleVariable + "=" + RoleWorker}, true, true},
		{"of an earlier commit, too late", []string{RoleVariable + "=" + RoleWorker}, false, false},
		{"no worker", []string{RunVariable + "=/run/shop"}, true, false},
	} {
		holder := exec.Command("cat")
		holder.Env = tt.env
		stdin, err := holder.StdinPipe()
		must(t, err)
		must(t, holder.Start())
		g := &adoption{blind: true, refused: true, last: time.Now().Add(-2 * time.Hour)}
		if tt.within {
			g.last = time.Now().Add(time.Hour)
		}
		p := &pool{spec: quick("web", 1), adoption: g}
		if got := g.expects(l, p, &inherit.InUseError{PID: holder.Process.Pid, Name: "cat"}); got != tt.want {
			t.Errorf("%s: expected: %v, want %v", tt.name, got, tt.want)
		}
		must(t, stdin.Close())
		must(t, holder.Wait())
	}
}
