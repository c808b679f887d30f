package primary

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/notify"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/proc/proctest"
)

// programs is a loop that the test runs itself, with two slots of a program that
// is ready in both.
func programs(t *testing.T) (l *loop, slots []*slot, events chan event) {
	t.Helper()
	l, s := bare()
	p := s.pool
	p.protocol, p.spec.Protocol, p.spec.LameDuck = foreign{}, control.ProtocolNotify, control.DefaultSteer
	p.slots = append(p.slots, newSlot(p, 1))
	events = make(chan event, 100)
	l.post = func(e event) bool { events <- e; return true }
	script := proctest.New()
	for i, s := range p.slots {
		handle, err := script.Start(proc.Command{Path: "/bin/app"})
		must(t, err)
		inc := uint64(i + 1)
		s.slotState = slotState{want: wantRun, gen: 1, cur: processState{inc: inc, gen: 1, ready: true}}
		s.processes[inc] = &process{inc: inc, gen: 1, handle: handle, since: time.Now(), dropped: make(chan struct{})}
	}
	binary, err := proc.PinSelf("/bin/app")
	must(t, err)
	t.Cleanup(func() { must(t, binary.Close()) })
	p.generations, p.gen = []*generation{{number: 1, binary: binary, listen: []string{"tcp://127.0.0.1:0"}}}, 1
	l.spawn, l.saver = &spawner{}, &saver{path: filepath.Join(t.TempDir(), recordFile)}
	return l, p.slots, events
}

// pass lets time pass and takes in what came of it.
func (l *loop) pass(d time.Duration, events chan event) {
	time.Sleep(d)
	synctest.Wait()
	for len(events) > 0 {
		(<-events)(l)
	}
}

// TestForeignDrain: new connections go to other slots for a moment before a
// program gets its stop signal, and come back when it may wait for one of them.
func TestForeignDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, slots, events := programs(t)
		s := slots[0]
		s.pool.spec.StopSignal = "INT"
		r := s.processes[1]
		var got []os.Signal
		r.handle = signals{r.handle, &got}
		on := &listener{addr: "tcp://127.0.0.1:0"}
		look := func(when string, accepts, closed bool, sent int) {
			t.Helper()
			if a := s.accepting(on) != nil; a != accepts || r.closed != closed || len(got) != sent {
				t.Errorf("%s: the slot accepts %t, closed %t, signals %v", when, a, r.closed, got)
			}
		}
		look("before", true, false, 0)
		s.old, s.cur = []processState{s.cur}, processState{inc: 9, gen: 1, ready: true} // as after a commit
		s.processes[9] = &process{inc: 9, gen: 1, handle: r.handle}
		l.drain(s, action{inc: 1})
		look("told", false, false, 0)
		l.pass(control.DefaultSteer, events)
		look("after 100 ms", false, false, 1)
		l.pass(stuckAfter, events)
		look("after 600 ms", true, true, 1)
		if got[0] != syscall.SIGINT {
			t.Errorf("signal %v", got[0])
		}
	})
}

// signals notes what is sent.
type signals struct {
	proc.Process
	got *[]os.Signal
}

func (s signals) Signal(sig syscall.Signal) error {
	*s.got = append(*s.got, sig)
	return nil
}

func TestSaid(t *testing.T) {
	l, slots, _ := programs(t)
	first, second := slots[0].processes[1], slots[1].processes[2]
	status := "busy"
	child := notify.Message{From: []int{1 << 30, second.pid()}, Status: &status, Alive: true, Stopping: true}
	l.said(child)
	if second.status != "busy" || second.heard.IsZero() || !second.leaving || first.status != "" || first.leaving {
		t.Errorf("first %+v\nsecond %+v", first, second)
	}
	l.said(notify.Message{From: []int{1 << 30}, Stopping: true}) // of a stranger
	if first.leaving || len(l.early) > 0 {
		t.Error("a stranger was believed")
	}
	// What comes before its process is known waits.
	handle := first.handle
	first.handle, slots[0].cur.ready = nil, false
	l.said(notify.Message{From: []int{handle.PID()}, Ready: true})
	if len(l.early) != 1 {
		t.Fatalf("%d messages wait", len(l.early))
	}
	l.started(slots[0], 1, handle, nil)
	if !slots[0].cur.ready || len(l.early) != 0 {
		t.Error("the word of a process that had just been started was lost")
	}
	// It asked for its end.
	l.said(notify.Message{From: []int{handle.PID()}, Stuck: true})
	if slots[0].cur.ending != killed || first.reason != "it asked for its end (WATCHDOG=trigger)" {
		t.Errorf("ending %v, %q", slots[0].cur.ending, first.reason)
	}
}

// TestAliveIsNoHello: a program that says WATCHDOG=1 while its pool is taken over is
// not asked for a hello, which it cannot say.
func TestAliveIsNoHello(t *testing.T) {
	l, slots, _ := programs(t)
	p := slots[0].pool
	p.generations[0].listen = nil
	p.adoption = &adoption{until: time.Now().Add(-time.Minute)}
	l.queue = queueCheck{begun: time.Now().Add(-time.Second), passed: time.Now().Add(-time.Second / 2)}
	l.said(notify.Message{From: []int{slots[0].processes[1].pid()}, Alive: true})
	if l.completeAdoption(p); p.adoption != nil || slots[0].processes[1].reason != "" {
		t.Errorf("adopted %t, %q", p.adoption == nil, slots[0].processes[1].reason)
	}
}

// TestExtend: a program that asked for time to start gets it.
func TestExtend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, slots, events := programs(t)
		s, r := slots[0], slots[0].processes[1]
		s.cur.ready = false
		l.after(s, action{timer: hReadyTimeout, inc: 1, after: time.Second})
		l.said(notify.Message{From: []int{r.pid()}, Extend: time.Minute})
		l.pass(59*time.Second, events)
		if s.cur.ending != notEnding {
			t.Fatal("it was ended before the time that it asked for")
		}
		l.pass(2*time.Second, events)
		if s.cur.ending != killed {
			t.Error("it was not ended")
		}
		// What it asked for its start does not put off its end.
		s, r = slots[1], slots[1].processes[2]
		l.said(notify.Message{From: []int{r.pid()}, Extend: time.Hour})
		s.old, s.cur = []processState{{inc: 2, ready: true, ending: told}}, processState{inc: 9, ready: true}
		l.drain(s, action{inc: 2})
		l.after(s, action{timer: hDrainTimeout, inc: 2, after: time.Minute})
		if l.pass(61*time.Second, events); s.old[0].ending != termed {
			t.Errorf("ending %v", s.old[0].ending)
		}
	})
}

// TestStoppingAndStays: a program that says that it ends is ended if it does not.
func TestStoppingAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, slots, events := programs(t)
		s, r := slots[0], slots[0].processes[1]
		l.said(notify.Message{From: []int{r.pid()}, Stopping: true, Extend: time.Minute})
		told := slots[1] // which is ended in its own time
		told.old, told.cur = []processState{{inc: 2, ending: termed}}, processState{}
		l.said(notify.Message{From: []int{told.processes[2].pid()}, Stopping: true})
		l.pass(59*time.Second, events)
		if s.cur.ending != notEnding {
			t.Fatal("it was ended before the time that it asked for")
		}
		l.pass(2*time.Second, events)
		if s.cur.ending != killed || r.reason != "it said STOPPING=1 and has not ended within 30s" {
			t.Errorf("ending %v, %q", s.cur.ending, r.reason)
		}
		if told.old[0].ending != termed {
			t.Errorf("one that was told is ended: %v", told.old[0].ending)
		}
	})
}

// TestReadyLine: the line is looked for until it comes, and means nothing of a
// process that has gone.
func TestReadyLine(t *testing.T) {
	l, slots, events := programs(t)
	s, r := slots[0], slots[0].processes[1]
	s.cur.ready, s.pool.spec.Protocol, s.pool.spec.ReadyLine = false, control.ProtocolMute, "^serves"
	out, writer := listening(t)
	out.awaits = l.readyLine(s, r)
	l.readyByTime(s, r) // which is not its way
	_, err := writer.WriteString("it serves\nserves a\nserves b\n")
	must(t, err)
	writer.Close()
	<-out.stopped
	out.finish()
	if len(events) != 1 || s.cur.ready {
		t.Fatalf("%d events, ready %t", len(events), s.cur.ready)
	}
	said := <-events
	if said(l); !s.cur.ready {
		t.Error("the line was not understood")
	}
	delete(s.processes, 1)
	said(l)
}

// TestReadyByTime: a program that tells nothing is ready when it has run for so long.
func TestReadyByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, slots, events := programs(t)
		s := slots[0]
		s.cur.ready, s.pool.spec.Protocol, s.pool.spec.ReadyAfter = false, control.ProtocolMute, time.Second
		l.readyByTime(s, s.processes[1])
		if l.pass(999*time.Millisecond, events); s.cur.ready {
			t.Error("it was ready before its time")
		}
		if l.pass(2*time.Millisecond, events); !s.cur.ready {
			t.Error("it did not become ready")
		}
	})
}

// TestSocketIsBlockingForTheFirst: a socket is made blocking for the only
// process that has it, and left as it is while another may rely on its mode.
func TestSocketIsBlockingForTheFirst(t *testing.T) {
	l, slots, _ := programs(t)
	p := slots[0].pool
	g, err := inherit.Open(inherit.Listen{TCP: netip.MustParseAddrPort("127.0.0.1:0")}, inherit.Slots)
	must(t, err)
	defer g.Close()
	must(t, g.Grow(2))
	p.open = []*listener{{addr: "tcp://127.0.0.1:0", group: g}}
	slots[1].processes[3] = &process{inc: 3, gen: 1}
	for i, s := range slots {
		must(t, unix.SetNonblock(g.FD(i), true))
		e, err := foreign{}.equip(l, s, s.processes[uint64(i+1)])()
		must(t, err)
		flags, err := unix.FcntlInt(uintptr(g.FD(i)), unix.F_GETFL, 0)
		must(t, err)
		if blocking := flags&unix.O_NONBLOCK == 0; blocking != (i == 0) || len(e.files) != 1 || e.listen[0] != "web" {
			t.Errorf("slot %d: blocking %t, equipment %+v", i, blocking, e)
		}
	}
}

// TestKept: the agent keeps the sockets of a program's pool and gives them back,
// and drops what no pool has.
func TestKept(t *testing.T) {
	l, slots, _ := programs(t)
	p := slots[0].pool
	agent := &pool{spec: control.PoolSpec{Name: "agent", BuiltIn: true}.WithDefaults(), protocol: library{}}
	l.pools, l.cfg.Spec.Agent = append(l.pools, agent), "agent"
	l.appoint()
	g, err := inherit.Open(inherit.Listen{TCP: netip.MustParseAddrPort("127.0.0.1:0")}, inherit.Slots)
	must(t, err)
	defer g.Close()
	must(t, g.Grow(3))
	p.open = []*listener{{addr: "tcp://127.0.0.1:0", group: g}}
	var b ipc.Boot
	if fds := agent.equipKeeper(&b, []int{7}); len(fds) != 4 || len(b.Sockets) != 3 || b.Sockets[0].FD != listenFD+1 {
		t.Fatalf("descriptors %v, sockets %+v", fds, b.Sockets)
	}
	var back []ipc.Socket
	for _, s := range b.Sockets {
		fd, err := unix.FcntlInt(uintptr(g.FD(s.Slot)), unix.F_DUPFD_CLOEXEC, 0)
		must(t, err)
		back = append(back, ipc.Socket{Name: s.Name, Slot: s.Slot, FD: fd})
	}
	stray, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	back = append(back, ipc.Socket{Name: "gone tcp://127.0.0.1:1", FD: stray})
	p.open, p.adoption = nil, &adoption{until: time.Now().Add(time.Minute)}
	if !agent.wantsKept(ipc.Hello{Purpose: ipc.PurposeControl, Kept: 3}) {
		t.Error("it is not asked for")
	}
	l.returnedKept(agent, back)
	if len(p.open) != 1 || p.open[0].group.Addr() != g.Addr() || p.open[0].group.Len() != 3 || !p.adoption.given {
		t.Errorf("came back: %+v", p.open)
	}
	p.unlisten()
	if _, err := unix.FcntlInt(uintptr(stray), unix.F_GETFD, 0); err == nil {
		t.Error("what no pool has was left open")
	}
}

// TestLastOpen: a slot is not steered away while the others are, for then new
// connections would go on to it.
func TestLastOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, slots, events := programs(t)
		first, second := slots[0].processes[1], slots[1].processes[2]
		l.drain(slots[0], action{inc: 1})
		l.drain(slots[1], action{inc: 2})
		if !first.avoided || second.avoided {
			t.Fatalf("steered away: first %t, second %t", first.avoided, second.avoided)
		}
		l.pass(slots[0].pool.spec.LameDuck, events)
		l.pass(stuckAfter, events)
		l.pass(turnEvery, events)
		if first.avoided || !second.avoided {
			t.Errorf("later: first %t, second %t", first.avoided, second.avoided)
		}
	})
}

// TestBelieve: an adopted program that was starting counts as ready if its word was
// lost, and only at the end of its time if it was not.
func TestBelieve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, slots, events := programs(t)
		s := slots[0]
		s.cur.ready = false
		s.pool.adoption = &adoption{heard: true}
		l.after(s, action{timer: hReadyTimeout, inc: 1, after: time.Second})
		if l.believe(s.pool); s.cur.ready {
			t.Error("it is ready without a word")
		}
		if l.pass(time.Second, events); !s.cur.ready {
			t.Error("it is not ready at the end of its time")
		}
		s.cur.ready, s.pool.adoption.heard = false, false
		if l.believe(s.pool); !s.cur.ready {
			t.Error("it is not ready")
		}
	})
}

// TestGate: a process is let in when the record has it.
func TestGate(t *testing.T) {
	l, slots, events := programs(t)
	slots[0].pool.generations = nil
	r := slots[0].processes[1]
	e, err := foreign{}.equip(l, slots[0], r)()
	must(t, err)
	defer e.close()
	l.atGate(r)
	(<-events)(l)
	b := make([]byte, 2)
	if n, err := unix.Read(e.gate, b); n != 1 || err != nil {
		t.Errorf("the gate gives %d bytes, %v", n, err)
	}
	if n, err := unix.Read(e.gate, b); n != 0 || err != nil {
		t.Errorf("and then %d bytes, %v", n, err)
	}
	if _, err := os.Stat(l.saver.path); err != nil {
		t.Error(err)
	}
}

// TestKeptBesidePortZero: sockets go to the address that names their port, not to
// one that would take any.
func TestKeptBesidePortZero(t *testing.T) {
	l, slots, _ := programs(t)
	p := slots[0].pool
	g, err := inherit.Open(inherit.Listen{TCP: netip.MustParseAddrPort("127.0.0.1:0")}, inherit.Slots)
	must(t, err)
	defer g.Close()
	fd, err := unix.FcntlInt(uintptr(g.FD(0)), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	p.generations[0].listen = []string{"tcp://127.0.0.1:0", "admin=" + g.Addr()}
	p.spec.Listen, p.adoption = p.generations[0].listen, &adoption{until: time.Now().Add(time.Minute)}
	if !l.takeKept(p, []ipc.Socket{{Name: "web " + g.Addr(), FD: fd}}) || p.open[0].addr != "admin="+g.Addr() {
		t.Errorf("open %+v", p.open)
	}
	p.unlisten()
}

// TestKeptWithPortZero: each of several addresses with port 0 gets back the sockets
// that it had.
func TestKeptWithPortZero(t *testing.T) {
	for range 4 { // the ports come in any order
		l, slots, _ := programs(t)
		p := slots[0].pool
		p.spec.Listen = []string{"tcp://127.0.0.1:0", "b=tcp://127.0.0.1:0", "tcp://127.0.0.1:0"}
		p.generations[0].listen = p.spec.Listen
		must(t, p.listen(1))
		var want []string
		var kept []ipc.Socket
		for _, o := range p.listeners(1) {
			want = append(want, o.group.Addr())
			fd, err := unix.FcntlInt(uintptr(o.group.FD(0)), unix.F_DUPFD_CLOEXEC, 0)
			must(t, err)
			kept = append(kept, ipc.Socket{Name: p.keptName(o), FD: fd})
		}
		p.wasOpen = p.openRecords()
		p.unlisten()
		p.adoption = &adoption{until: time.Now().Add(time.Minute)}
		l.returnedKept(&pool{keeps: []*pool{p}}, kept)
		var got []string
		for _, o := range p.listeners(1) {
			got = append(got, o.group.Addr())
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		p.unlisten()
	}
}

// TestPresumedDone: what is run once and ended while there was no primary is done,
// unless another pool waits to be sure of it.
func TestPresumedDone(t *testing.T) {
	for _, waits := range []bool{false, true} {
		l, slots, _ := programs(t)
		s := slots[0]
		s.pool.spec.Policy, s.pool.spec.Protocol = control.Never, control.ProtocolMute
		l.calls = &calls{}
		want := control.Done
		if waits {
			want = control.Dead
			l.pools = append(l.pools, &pool{spec: control.PoolSpec{Name: "web2", DependsOn: []string{s.pool.spec.Name}}})
		}
		l.exited(s, 1, proc.Exit{Code: -1, Unknown: true, At: time.Now()}, func() string { return "" }, nil)
		if s.hold != want || !s.exits[0].Unknown {
			t.Errorf("another pool waits: %t: the slot is %s, its exit %+v", waits, s.hold, s.exits[0])
		}
	}
}
