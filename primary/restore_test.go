package primary

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/proc/proctest"
)

// legacy is what a primary that was killed leaves behind: its record, and
// workers that live on.
type legacy struct {
	*cluster
	record  record
	sockets *inherit.Group
	key     []byte
}

// aged are times that no test waits for: nothing of a survivor times out.
func aged(name string, workers int) control.PoolSpec {
	s := quick(name, workers)
	s.Listen = []string{"tcp://127.0.0.1:0"}
	return s
}

// newLegacy is of a cluster with one pool of so many slots, all of generation 1.
func newLegacy(t *testing.T, spec control.PoolSpec) *legacy {
	t.Helper()
	l := &legacy{cluster: newCluster(t, spec), key: bytes.Repeat([]byte("k"), 32)}
	must(t, os.WriteFile(filepath.Join(l.cfg.State, "key"), l.key, 0o600))
	must(t, os.WriteFile(filepath.Join(l.cfg.State, "incarnation"), []byte("1000\n"), 0o600))
	b, err := proc.Pin(l.cfg.Binary)
	must(t, err)
	defer b.Close()
	dev, ino := b.Identity()
	l.record = record{
		Version: recordVersion, BootID: bootID(), LastJob: 4,
		Pools: []poolRecord{{
			Name: spec.Name, Target: spec.Workers, Gen: 1, LastGen: 1,
			Generations: []generationRecord{{Number: 1, Path: l.cfg.Binary, Dev: dev, Ino: ino, Argv: l.cfg.Argv, Dir: "/"}},
		}},
	}
	for range spec.Workers {
		l.pool().Seats = append(l.pool().Seats, seatRecord{Want: int(wantRun), Gen: 1})
	}
	if len(spec.Listen) > 0 {
		l.listen(spec)
	}
	return l
}

func (l *legacy) listen(spec control.PoolSpec) {
	at, err := inherit.Parse(spec.Listen[0])
	must(l.t, err)
	l.sockets, err = inherit.Open(at, spec.WithDefaults().Share)
	must(l.t, err)
	must(l.t, l.sockets.Grow(spec.Workers))
	l.t.Cleanup(func() { l.sockets.Close() })
}

func (l *legacy) pool() *poolRecord { return &l.record.Pools[0] }

// survivor is a process of the primary before. It is in the record at the place
// that cur, next or old of its slot is; in none it is a stray.
func (l *legacy) survivor(slot, gen int, inc uint64) *actor {
	l.t.Helper()
	p, err := l.script.Start(proc.Command{Path: "survivor"})
	must(l.t, err)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	must(l.t, err)
	a := &actor{Process: p.(*proctest.Process), pid: os.Getpid(), out: null, exit: make(chan proc.Exit, 1), dead: make(chan struct{}), joined: make(chan struct{})}
	a.boot = ipc.Boot{Pool: l.pool().Name, Slot: slot, Generation: gen, Incarnation: inc, Run: l.cfg.Run}
	a.boot.Secret = secret(l.key, a.id(), gen, inc)
	l.mu.Lock()
	l.survivors = append(l.survivors, a)
	l.mu.Unlock()
	l.acting.Go(a.reap)
	return a
}

// registered is how the record names a survivor.
func (a *actor) registered(ready bool) *processRecord {
	a.known = true
	at := time.Now().Add(-time.Minute)
	return &processRecord{Inc: a.boot.Incarnation, Gen: a.boot.Generation, PID: a.Process.PID(), Start: a.StartTime(), Ready: ready, ReadyAt: at, Since: at}
}

// seated is a survivor that serves in its slot.
func (l *legacy) seated(slot int, inc uint64) *actor {
	a := l.survivor(slot, 1, inc)
	l.pool().Seats[slot].Cur = a.registered(true)
	return a
}

// truth is what a survivor says when it comes back.
type truth func(*ipc.Hello)

func ready(h *ipc.Hello) { h.Ready = true }

// comeBack lets a survivor find the next primary, as the library's workers do.
func (l *legacy) comeBack(a *actor, say truth) {
	l.acting.Go(func() {
		a.Obey(syscall.SIGTERM)
		for {
			conn := l.greet(a, say)
			if conn != nil {
				a.once.Do(func() { close(a.joined) })
			}
			if conn != nil && !a.attend(conn) {
				return
			}
			select { // as a worker pauses between two attempts
			case <-time.After(time.Millisecond):
			case <-a.dead:
				return
			}
		}
	})
}

// greet says hello and gives the sockets back; nil if nobody is there.
func (l *legacy) greet(a *actor, say truth) *ipc.Conn {
	h := a.hello(ipc.PurposeControl)
	if l.sockets != nil {
		h.Kept = l.sockets.Len()
	}
	say(&h)
	conn, w, err := ipc.Open(context.Background(), a.dial, h)
	if err != nil {
		return nil
	}
	conn.Trust(true)
	if w.Sockets {
		fds := l.sockets.FDs()[:h.Kept]
		m := ipc.Sockets{Last: true}
		for i := range fds {
			m.Sockets = append(m.Sockets, ipc.Socket{Name: a.boot.Pool, Slot: i})
		}
		_ = conn.Send(soon, ipc.TypeSockets, m, fds...)
	}
	return conn
}

// attend does what the primary says; false when the process has ended.
func (a *actor) attend(conn *ipc.Conn) bool {
	defer conn.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-a.dead:
			conn.Close()
		case <-stop:
		}
	}()
	for {
		m, err := conn.Receive(0)
		if err != nil {
			return !a.Ended()
		}
		m.Discard()
		if m.Type == ipc.TypeDrain {
			_ = conn.Send(soon, ipc.TypeClosed, nil)
			a.Exit(0)
			return false
		}
	}
}

// start starts the primary that finds all this.
func (l *legacy) start() {
	l.t.Helper()
	data, err := ipc.Encode(l.record)
	must(l.t, err)
	must(l.t, os.WriteFile(filepath.Join(l.cfg.State, recordFile), data, 0o600))
	l.run()
}

// next starts it and waits until it has what it wants.
func (l *legacy) next() {
	l.t.Helper()
	l.start()
	l.await("cluster.ready", "")
}

func (l *legacy) listens() string {
	l.t.Helper()
	st, err := l.ctl.Status(l.context())
	must(l.t, err)
	return strings.Join(st.Pools[0].Listen, " ")
}

func TestSurvivorsAreAdopted(t *testing.T) {
	l := newLegacy(t, aged("web", 3))
	for i := range 3 {
		l.comeBack(l.seated(i, uint64(11+i)), ready)
	}
	l.next()
	if d := cmp.Diff([]uint64{11, 12, 13}, l.incarnations()); d != "" {
		t.Errorf("incarnations (-want +got):\n%s", d)
	}
	if got := l.listens(); got != l.sockets.Addr() {
		t.Errorf("it listens on %s, the survivors on %s", got, l.sockets.Addr())
	}
	if n := len(l.actors); n != 0 {
		t.Errorf("%d processes were started", n)
	}
	// They are its own now: one that ends is replaced, a reload cycles all.
	l.survivors[1].Exit(1)
	l.await("worker.ready", "web/1")
	l.reload(control.ReloadRequest{}, control.JobOK)
	if d := cmp.Diff([]int{2, 2, 2}, l.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
	for _, n := range l.incarnations() {
		if n <= 1000 {
			t.Errorf("incarnation %d may have been used before", n)
		}
	}
}

// TestDeadSurvivor: a registered process that is gone is replaced, however it
// went, and its end is among the exits.
func TestDeadSurvivor(t *testing.T) {
	l := newLegacy(t, aged("web", 3))
	l.comeBack(l.seated(0, 11), ready)
	gone := l.seated(1, 12) // reaped before the primary looks
	gone.Exit(1)
	within(t, gone.dead)
	// Slot 2 was empty when the primary was killed: between two processes.
	l.next()
	w := l.workers()
	if w["web/0"].Incarnation != 11 || w["web/1"].Incarnation <= 1000 || w["web/2"].Incarnation <= 1000 {
		t.Errorf("incarnations %v", l.incarnations())
	}
	if x := w["web/1"].LastExit; x == nil || x.Incarnation != 12 || x.PID != gone.Process.PID() || !strings.Contains(x.Reason, "no primary") {
		t.Errorf("last exit of web/1: %+v", x)
	}
	if got := l.listens(); got != l.sockets.Addr() {
		t.Errorf("it listens on %s, the survivor on %s", got, l.sockets.Addr())
	}
}

// TestReusedPid: the pid of the record is another's now.
func TestReusedPid(t *testing.T) {
	l := newLegacy(t, quick("web", 1))
	other := l.survivor(0, 1, 11)
	r := other.registered(true)
	r.Start++
	l.pool().Seats[0].Cur = r
	l.next()
	if got := l.incarnations(); got[0] <= 1000 || len(other.Signals()) > 0 || other.Ended() {
		t.Errorf("incarnation %d; the other got %v", got[0], other.Signals())
	}
	other.Exit(0)
}

// TestAnotherBoot: its pids mean nothing, its wishes do.
func TestAnotherBoot(t *testing.T) {
	l := newLegacy(t, quick("web", 2))
	other := l.survivor(0, 1, 11)
	l.pool().Seats[0].Cur = other.registered(true)
	l.pool().Seats[1].Want = int(wantStopped)
	l.record.BootID = "another"
	l.start()
	l.await("worker.ready", "web/0")
	w := l.workers()
	if w["web/0"].Incarnation <= 1000 || w["web/1"].State != control.Stopped || len(other.Signals()) > 0 {
		t.Errorf("%+v; the other got %v", w, other.Signals())
	}
	other.Exit(0)
}

// TestSilentSurvivor is killed, and replaced with the sockets of the others.
func TestSilentSurvivor(t *testing.T) {
	l := newLegacy(t, aged("web", 2))
	l.cfg.gather = 100 * time.Millisecond
	l.comeBack(l.seated(0, 11), ready)
	silent := l.seated(1, 12)
	l.next()
	within(t, silent.dead)
	w := l.workers()
	if w["web/0"].Incarnation != 11 || w["web/1"].Incarnation <= 1000 || !strings.Contains(w["web/1"].LastExit.Reason, "no hello") {
		t.Errorf("%v; %+v", l.incarnations(), w["web/1"].LastExit)
	}
	if got := l.listens(); got != l.sockets.Addr() {
		t.Errorf("it listens on %s, the survivor on %s", got, l.sockets.Addr())
	}
}

// TestStray: a process in no record, for the primary was killed just after it
// had started it, gets the place that is empty, or retires.
func TestStray(t *testing.T) {
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
	} {
		t.Run(name, func(t *testing.T) {
			spec := aged("web", 2)
			if test.slot == 2 {
				spec.Workers = 3
			}
			l := newLegacy(t, spec)
			if test.slot == 2 {
				l.pool().Seats[2].Want = int(wantStopped)
			}
			first := l.seated(0, 11)
			if name == "who served has gone" {
				l.pool().Seats[1].Cur = &processRecord{Inc: 10, Gen: 1, PID: 1 << 22, Start: 1}
			}
			stray := l.survivor(test.slot, test.gen, 12)
			refused := soon
			if test.slot >= 512 {
				refused = 50 * time.Millisecond // it never joins
			}
			l.comeBack(stray, func(h *ipc.Hello) { h.Ready = true })
			l.comeBack(first, func(h *ipc.Hello) { // the stray comes first
				ready(h)
				select {
				case <-stray.joined:
				case <-stray.dead:
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
				within(t, stray.dead)
			}
			if test.slot >= 512 { // refused: it drains by itself
				stray.Exit(0)
			}
		})
	}
}

// TestStrayLeaves: one whose slot is taken is asked once, by a message if it
// serves: TERM after that would cut what it has in hand.
func TestStrayLeaves(t *testing.T) {
	for name, test := range map[string]struct {
		say  truth
		want string // the signal that ends it
	}{
		"ready":     {ready, ""},
		"not ready": {func(*ipc.Hello) {}, "SIGTERM"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLegacy(t, aged("web", 1))
			first, stray := l.seated(0, 11), l.survivor(0, 1, 12)
			l.comeBack(stray, test.say)
			l.comeBack(first, ready)
			l.next()
			within(t, stray.dead)
			if got := l.exitOf("web/0", 12); got.Signal != test.want {
				t.Errorf("the stray ended with %+v, want signal %q", got, test.want)
			}
		})
	}
}

// exitOf is how a process ended, which may still be on its way.
func (l *legacy) exitOf(id string, inc uint64) control.Exit {
	l.t.Helper()
	for {
		w, err := l.ctl.Worker(l.context(), id)
		must(l.t, err)
		for _, e := range w.Exits {
			if e.Incarnation == inc {
				return e
			}
		}
	}
}

// next2 is next for a cluster that need not be ready as a whole.
func (l *legacy) next2() {
	l.t.Helper()
	l.start()
	ctx := l.context()
	for {
		if st, err := l.ctl.Status(ctx); err == nil && st.Pools[0].Ready >= 2 {
			return
		}
		select {
		case <-ctx.Done():
			l.t.Fatalf("two workers do not become ready: %v", l.incarnations())
		case <-time.After(time.Millisecond):
		}
	}
}

// TestForgedStray: who has not the secret, or whose incarnation was given out
// by nobody, is refused.
func TestForgedStray(t *testing.T) {
	l := newLegacy(t, quick("web", 1))
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

// TestUnreadableRecord: the survivors are found by what they say.
func TestUnreadableRecord(t *testing.T) {
	for name, data := range map[string][]byte{"garbage": []byte("garbage"), "none": nil} {
		t.Run(name, func(t *testing.T) {
			spec := aged("web", 2)
			l := newLegacy(t, spec)
			l.cfg.Spec.Pools[0].Listen = []string{l.sockets.Addr()} // what port 0 was is not known without a record
			l.comeBack(l.survivor(0, 1, 11), ready)
			l.comeBack(l.survivor(1, 1, 12), ready)
			if data != nil {
				must(t, os.WriteFile(filepath.Join(l.cfg.State, recordFile), data, 0o600))
			}
			l.run()
			l.await("cluster.ready", "")
			if d := cmp.Diff([]uint64{11, 12}, l.incarnations()); d != "" {
				t.Errorf("incarnations (-want +got):\n%s", d)
			}
			l.reload(control.ReloadRequest{}, control.JobOK)
			if d := cmp.Diff([]int{2, 2}, l.generations()); d != "" {
				t.Errorf("generations (-want +got):\n%s", d)
			}
		})
	}
}

// TestSocketsOfTheFullest: a survivor that missed the last sockets comes first.
func TestSocketsOfTheFullest(t *testing.T) {
	l := newLegacy(t, aged("web", 3))
	a, b, c := l.seated(0, 11), l.seated(1, 12), l.seated(2, 13)
	welcomed := make(chan struct{})
	l.comeBack(a, func(h *ipc.Hello) { h.Ready, h.Kept = true, 2 })
	wait := func(h *ipc.Hello) {
		h.Ready = true
		select {
		case <-welcomed:
		case <-time.After(30 * time.Millisecond):
		}
	}
	l.comeBack(b, wait)
	l.comeBack(c, wait)
	l.next()
	close(welcomed)
	// A fourth socket is the group's fourth: all three were known.
	j, _ := l.follow(l.ctl.Scale(l.context(), control.ScaleRequest{Pool: "web", To: 4}))
	if j.State != control.JobOK {
		t.Fatal(j.Error)
	}
	boot := l.last("web/3").boot
	if n := len(boot.Sockets); n != 4 {
		t.Errorf("the new worker has %d sockets", n)
	}
	for slot := range 3 {
		l.reload(control.ReloadRequest{}, control.JobOK)
		if !sameSocket(t, l.last(fmt.Sprintf("web/%d", slot)), l.sockets.FD(slot)) {
			t.Errorf("slot %d has another socket than before", slot)
		}
	}
}

// sameSocket compares by SO_COOKIE what the process got as its listener.
func sameSocket(t *testing.T, a *actor, fd int) bool {
	t.Helper()
	want, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(t, err)
	return a.cookie == want
}

// TestStopWhileGathering does not wait for sockets that nobody has.
func TestStopWhileGathering(t *testing.T) {
	l := newLegacy(t, aged("web", 2))
	l.cfg.gather = 100 * time.Millisecond
	l.cfg.Spec.Pools[0].Listen = []string{l.sockets.Addr()} // held by this test
	silent := l.seated(0, 11)
	l.start()
	l.await("pool.adopting", "")
	j, _ := l.follow(l.ctl.Stop(l.context(), control.StopRequest{}))
	if j.State != control.JobOK && j.State != control.JobCancelled {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	within(t, silent.dead)
	within(t, l.over)
}

// TestNothingStartsWhileGathering: a revive must not fill a slot whose socket
// has not come back.
func TestNothingStartsWhileGathering(t *testing.T) {
	l := newLegacy(t, aged("web", 2))
	l.pool().Seats[1].Hold = control.Dead
	free := make(chan struct{})
	l.comeBack(l.seated(0, 11), func(h *ipc.Hello) { ready(h); <-free })
	l.start()
	l.await("pool.adopting", "")
	j, err := l.ctl.Revive(l.context(), control.ReviveRequest{IDs: []string{"web/1"}})
	must(t, err)
	if n := len(l.all("web/1")); n != 0 {
		t.Errorf("%d processes were started without sockets", n)
	}
	close(free)
	if j, _ := l.follow(j, nil); j.State != control.JobOK {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	if got := l.last("web/1").boot.Listeners; len(got) != 1 || got[0].Addr != l.sockets.Addr() {
		t.Errorf("it has %+v", got)
	}
}

// TestLostGenerationIsNotStarted: its slots get what is there.
func TestLostGenerationIsNotStarted(t *testing.T) {
	l := newLegacy(t, quick("web", 2))
	l.pool().Generations[0].Ino++ // replaced on disk while nothing ran
	l.next()
	if d := cmp.Diff([]int{2, 2}, l.generations()); d != "" {
		t.Errorf("generations: the lost one's number is not used again (-want +got):\n%s", d)
	}
}

// TestStrayHoldsAddress: the record names nobody who lives, but somebody holds
// the address: he gives it back, and is not taken for another program.
func TestStrayHoldsAddress(t *testing.T) {
	l := newLegacy(t, aged("web", 1))
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
