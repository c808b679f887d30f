package adminport

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// resumed are the limits of a process that comes after another one.
func resumed(t *testing.T, path string) *limits {
	t.Helper()
	l := newLimits(10, 10, 25)
	if err := l.resume(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.kept.close() })
	return l
}

func penalizeTimes(t *testing.T, l *limits, addr string, n int) {
	t.Helper()
	s, err := l.admit(&net.TCPAddr{IP: net.ParseIP(addr)})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		s.tried("admin")
		s.penalize(penaltyAuthFail)
	}
	s.release()
}

// A guesser who can crash the shell worker would have a new budget of passwords
// with each process. Nothing is said at the end of the first one here: it is killed.
func TestPenaltiesOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "penalties")
	killed := resumed(t, path)
	penalizeTimes(t, killed, "192.0.2.66", 4)
	penalizeTimes(t, killed, "2001:db8::1", 4)
	penalizeTimes(t, killed, "192.0.2.7", 3) // not enough to be blocked …
	next := resumed(t, path)
	for _, addr := range []string{"192.0.2.66", "2001:db8::2"} {
		if _, err := next.admit(&net.TCPAddr{IP: net.ParseIP(addr)}); err != errPenalty {
			t.Errorf("%s after the kill: %v", addr, err)
		}
	}
	penalizeTimes(t, next, "192.0.2.7", 1) // … but with one more
	if _, err := next.admit(&net.TCPAddr{IP: net.ParseIP("192.0.2.7")}); err != errPenalty {
		t.Errorf("what had been held before is forgotten: %v", err)
	}
	if got := next.blocked(); len(got) != 3 || got[0].Failed != 4 {
		t.Errorf("blocked: %+v", got)
	}
	if !next.forgive(prefixOf(netip.MustParseAddr("192.0.2.66"))) {
		t.Error("nothing was forgiven")
	}
	if _, err := resumed(t, path).admit(&net.TCPAddr{IP: net.ParseIP("192.0.2.66")}); err != nil {
		t.Errorf("after it was forgiven: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != penaltyTable || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// A flood of sources takes each other's places and no more room.
func TestPenaltiesAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "penalties")
	var p penalties
	if err := p.open(path); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	now := time.Now()
	for i := range 3 * maxSources {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if err := p.put(held{source: prefixOf(addr), until: now.Add(time.Minute), enforced: true}, false); err != nil {
			t.Fatal(err)
		}
	}
	all, err := p.load(now)
	if err != nil || len(all) > maxSources || len(all) < maxSources/2 {
		t.Errorf("%d are kept, %v", len(all), err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != penaltyTable {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// The longer of two stays, whichever process wrote it; times are bounded.
func TestPenaltiesPut(t *testing.T) {
	var p penalties
	if err := p.open(filepath.Join(t.TempDir(), "penalties")); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	source, now := prefixOf(netip.MustParseAddr("192.0.2.1")), time.Now()
	for _, minutes := range []time.Duration{5, 3, 600} {
		if err := p.put(held{source: source, until: now.Add(minutes * time.Minute)}, false); err != nil {
			t.Fatal(err)
		}
		all, err := p.load(now)
		want := max(min(minutes, 10), 5) * time.Minute
		if err != nil || len(all) != 1 || all[0].until.Sub(now).Round(time.Second) != want {
			t.Errorf("after %d minutes: %+v, %v", minutes, all, err)
		}
	}
}

func TestPenaltiesRefuse(t *testing.T) {
	dir := t.TempDir()
	readable, link := filepath.Join(dir, "readable"), filepath.Join(dir, "link")
	if err := os.WriteFile(readable, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(readable, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{readable, link, dir, filepath.Join(dir, "missing", "file")} {
		var p penalties
		if err := p.open(path); err == nil {
			t.Errorf("%s: opened", path)
		}
	}
	torn := filepath.Join(dir, "torn")
	if err := os.WriteFile(torn, bytes.Repeat([]byte{0xff}, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if l := resumed(t, torn); len(l.blocked()) != 0 {
		t.Errorf("a torn file blocks %+v", l.blocked())
	}
}

func FuzzDecodeHeld(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	f.Add(held{source: prefixOf(netip.MustParseAddr("192.0.2.1")), until: now.Add(time.Minute), enforced: true, failed: 3}.encode())
	f.Add(held{source: prefixOf(netip.MustParseAddr("2001:db8::1")), until: now.Add(time.Hour)}.encode())
	f.Add(make([]byte, penaltyRecord))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != penaltyRecord {
			return
		}
		h, ok := decodeHeld(b, now)
		if !ok {
			return
		}
		if !h.source.IsValid() || h.until.After(now.Add(penaltyMax)) || h.failed < 0 {
			t.Fatalf("%+v", h)
		}
		if binary.BigEndian.Uint64(b[24:]) == 0 {
			return
		}
		if again, ok := decodeHeld(h.encode(), now); !ok || !again.until.Equal(h.until) || again.source != h.source || again.failed != h.failed {
			t.Fatalf("%+v, then %+v", h, again)
		}
	})
}
