package primary

import (
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
)

// TestSteerIsTriedAgain: a choice that the kernel refused is not taken for made.
func TestSteerIsTriedAgain(t *testing.T) {
	at, err := inherit.Parse("tcp://127.0.0.1:0")
	must(t, err)
	g, err := inherit.Open(at, inherit.Slots)
	must(t, err)
	defer g.Close()
	must(t, g.Grow(2))
	o := &listener{addr: "tcp://127.0.0.1:0", group: g}
	p := &pool{protocol: library{}, spec: quick("web", 2), open: []*listener{o}}
	p.spec.Listen = []string{o.addr}
	for i := range 2 {
		s := newSlot(p, i)
		s.cur = processState{inc: uint64(i + 1), ready: true}
		s.processes[s.cur.inc] = &process{inc: s.cur.inc, closed: i == 0}
		p.slots = append(p.slots, s)
	}
	l := &loop{news: newEventLog(1, keptEvents, keptBytes, func(control.Event) int { return 1 }), cfg: Config{Console: func(string) {}}, post: func(event) bool { return false }}
	defer l.trimmer.Stop()

	socket, err := unix.Dup(g.FD(0))
	must(t, err)
	defer unix.Close(socket)
	other, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Dup3(other, g.FD(0), unix.O_CLOEXEC)) // the kernel refuses a program for it
	must(t, unix.Close(other))
	p.steer(l)
	p.steer(l)
	if events, _, _ := l.news.read(1); len(events) != 1 || o.steered != nil {
		t.Errorf("refused: told %d times, steered to %v", len(events), o.steered)
	}
	must(t, unix.Dup3(socket, g.FD(0), unix.O_CLOEXEC))
	p.steer(l)
	if got := o.steered; !slices.Equal(got, []int{1}) || p.refused != nil {
		t.Errorf("steered to %v, refused: %v", got, p.refused)
	}
}

// TestWhatWasOpenedIsClosed when a later address cannot be had: it would be
// in use, by ourselves, for ever.
func TestWhatWasOpenedIsClosed(t *testing.T) {
	taken, err := inherit.Parse("tcp://127.0.0.1:0")
	must(t, err)
	other, err := inherit.Open(taken, inherit.One)
	must(t, err)
	defer other.Close()
	added := "unix://" + filepath.Join(t.TempDir(), "added.sock")
	spec := quick("web", 1).WithDefaults()
	spec.Listen = []string{added, other.Addr()}
	p := &pool{protocol: library{}, spec: spec}
	for range 2 {
		if err := p.listen(p.gen); err == nil {
			t.Fatal("an address in use was taken")
		}
		p.closeUnused()
	}
	at, err := inherit.Parse(added)
	must(t, err)
	g, err := inherit.Open(at, spec.Share)
	must(t, err)
	must(t, g.Close())
}

// TestAddressTwice: with port 0 it stands for two listeners.
func TestAddressTwice(t *testing.T) {
	spec := quick("web", 1).WithDefaults()
	spec.Listen = []string{"tcp://127.0.0.1:0", "tcp://127.0.0.1:0"}
	p := &pool{protocol: library{}, spec: spec}
	must(t, p.listen(p.gen))
	defer p.unlisten()
	if all := p.listeners(p.gen); len(p.open) != 2 || all[0] == all[1] || p.nameFor(p.gen, all[1]) != "web-2" {
		t.Errorf("%d listeners, %v", len(p.open), all)
	}
}
