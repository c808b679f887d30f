package primary

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

func TestSurvivorsAreAdopted(t *testing.T) {
	l := newSurvivors(t, aged("web", 3))
	for i := range 3 {
		l.comeBack(l.serving(i, uint64(11+i)), ready)
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
	l := newSurvivors(t, aged("web", 3))
	l.comeBack(l.serving(0, 11), ready)
	gone := l.serving(1, 12) // reaped before the primary looks
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
	l := newSurvivors(t, quick("web", 1))
	other := l.survivor(0, 1, 11)
	r := other.registered(true)
	r.Start++
	l.pool().Slots[0].Cur = r
	l.next()
	if got := l.incarnations(); got[0] <= 1000 || len(other.Signals()) > 0 || other.Ended() {
		t.Errorf("incarnation %d; the other got %v", got[0], other.Signals())
	}
	other.Exit(0)
}

// TestAnotherBoot: its pids mean nothing, its wishes do.
func TestAnotherBoot(t *testing.T) {
	l := newSurvivors(t, quick("web", 2))
	other := l.survivor(0, 1, 11)
	l.pool().Slots[0].Cur = other.registered(true)
	l.pool().Slots[1].Want = int(wantStopped)
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
	l := newSurvivors(t, aged("web", 2))
	l.cfg.adoption = 100 * time.Millisecond
	l.comeBack(l.serving(0, 11), ready)
	silent := l.serving(1, 12)
	l.next()
	within(t, silent.dead)
	w := l.workers()
	if w["web/0"].Incarnation != 11 || w["web/1"].Incarnation <= 1000 || !strings.Contains(w["web/1"].LastExit.Reason, "say hello") {
		t.Errorf("%v; %+v", l.incarnations(), w["web/1"].LastExit)
	}
	if got := l.listens(); got != l.sockets.Addr() {
		t.Errorf("it listens on %s, the survivor on %s", got, l.sockets.Addr())
	}
}

// TestLostGenerationIsNotStarted: its slots get what is there.
func TestLostGenerationIsNotStarted(t *testing.T) {
	l := newSurvivors(t, quick("web", 2))
	l.pool().Generations[0].Ino++ // replaced on disk while nothing ran
	l.next()
	if d := cmp.Diff([]int{2, 2}, l.generations()); d != "" {
		t.Errorf("generations: the lost one's number is not used again (-want +got):\n%s", d)
	}
}

// TestEndForWantOfAPrimary is no wish of the worker's own, whatever its status:
// its slot is filled again under every policy but never, and it does not count.
func TestEndForWantOfAPrimary(t *testing.T) {
	orphaned := func(h *ipc.Hello) { h.Ready, h.Draining = true, true }
	left := func(h *ipc.Hello) { h.Ready, h.Draining, h.Leaving = true, true, true }
	for name, test := range map[string]struct {
		orphan string
		says   truth // nil: it ends before its hello
		want   control.State
	}{
		"drains, and says so": {control.OrphanServe, orphaned, control.Ready},
		"ends at once":        {control.OrphanExit, nil, control.Ready},
		"its own wish":        {control.OrphanExit, left, control.Dead},
		"serves on":           {control.OrphanExit, ready, control.Dead},
	} {
		t.Run(name, func(t *testing.T) {
			spec := aged("web", 2)
			spec.Policy, spec.Orphan = control.OnFailure, test.orphan
			l := newSurvivors(t, spec)
			first, a := l.serving(0, 11), l.serving(1, 12)
			if test.says != nil {
				l.comeBack(a, test.says)
			}
			l.comeBack(first, ready)
			l.start()
			l.await("pool.adopting", "")
			if test.says != nil {
				l.await("cluster.ready", "") // both hellos have been taken in
			}
			a.Exit(0)
			l.await("worker.exited", "web/1")
			if test.want == control.Dead {
				l.await("worker.dead", "web/1")
			} else {
				l.await("worker.ready", "web/1")
			}
			w := l.workers()["web/1"]
			if w.State != test.want || w.LastExit.Code != 0 || w.Restarts != 0 {
				t.Errorf("%s after %+v, %d restarts", w.State, w.LastExit, w.Restarts)
			}
		})
	}
}

// TestBinaryOfAnotherTime: a file with the inode on record and another time is
// not what the generation ran; what was kept of it is.
func TestBinaryOfAnotherTime(t *testing.T) {
	dir := t.TempDir()
	file, kept := filepath.Join(dir, "app"), filepath.Join(dir, "kept")
	for _, name := range []string{file, kept} {
		if err := os.WriteFile(name, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	now, err := proc.Pin(file)
	if err != nil {
		t.Fatal(err)
	}
	defer now.Close()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	g := generationRecord{Path: file, Kept: kept, Build: &build{Time: info.ModTime()}}
	g.Dev, g.Ino = now.Identity()
	for written, same := range map[time.Duration]bool{0: true, time.Hour: false} {
		at := info.ModTime().Add(written)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		found, err := (&pool{}).findBinary(g)
		if err != nil {
			t.Fatal(err)
		}
		dev, ino := found.Identity()
		if is := dev == g.Dev && ino == g.Ino; is != same {
			t.Errorf("written %v later: the file at the path %v, want %v", written, is, same)
		}
		_ = found.Close()
	}
}
