package adminport

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Two hundred silent connections from one address must not keep others out.
func TestB3_connection_flood(t *testing.T) {
	l := newLimits(100, 10, 25)
	flood := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 66)}
	var admissions []*admission
	for range 200 {
		if s, err := l.admit(flood); err == nil {
			admissions = append(admissions, s)
		} else if !errors.Is(err, errCrowd) {
			t.Fatal(err)
		}
	}
	if len(admissions) != 40 {
		t.Errorf("%d connections of one source, want 40", len(admissions))
	}
	other, err := l.admit(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 9)})
	if err != nil {
		t.Fatalf("another source: %v", err)
	}
	admissions = append(admissions, other)
	for _, s := range admissions {
		s.release()
		s.release() // twice is once
	}
	if l.total != 0 {
		t.Errorf("%d connections are left", l.total)
	}
}

// Three addresses take all places with silent connections: a client from a
// fourth gets one of theirs, and they do not get it back while it logs in.
func TestB3_few_sources_take_all(t *testing.T) {
	l := newLimits(100, 10, 25)
	ended := 0
	from := func(n byte) (*admission, error) {
		s, err := l.admit(&net.TCPAddr{IP: net.IPv4(192, 0, 2, n)})
		if err == nil {
			s.evictBy(func(error) { ended++ })
		}
		return s, err
	}
	var admissions []*admission
	for range 60 {
		for n := range byte(3) {
			if s, err := from(n); err == nil {
				admissions = append(admissions, s)
			}
		}
	}
	if l.total != 100 {
		t.Fatalf("%d connections, want all 100", l.total)
	}
	for n := range byte(20) {
		s, err := from(100 + n)
		if err != nil {
			t.Fatalf("source %d: %v", n, err)
		}
		admissions = append(admissions, s)
	}
	for n := range byte(3) {
		if s, err := from(n); err == nil { // at most from one another
			admissions = append(admissions, s)
		}
	}
	for n := range byte(20) {
		if got := len(l.crowd[l.sources[sourceOf(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 100+n)})]]); got != 1 {
			t.Errorf("source %d has %d connections", n, got)
		}
	}
	if ended < 20 || l.total != 100 {
		t.Errorf("%d ended, %d are left", ended, l.total)
	}
	if err := admissions[0].login(t.Context()); err != errEvicted || len(admissions[0].src.login) != 0 {
		t.Errorf("the turn of one that had to go: %v", err)
	}
	for _, s := range admissions {
		s.release()
	}
	if l.total != 0 || len(l.crowd) != 0 {
		t.Errorf("%d connections and %d crowds are left", l.total, len(l.crowd))
	}
}

func TestTurns(t *testing.T) {
	l := newLimits(10, 1, 25)
	addr := &net.TCPAddr{IP: net.ParseIP("2001:db8::1")}
	first, err1 := l.admit(addr)
	second, err2 := l.admit(&net.TCPAddr{IP: net.ParseIP("2001:db8::2")}) // the same /64
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := first.login(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errHelloTimeout)
	if err := second.login(ended); !errors.Is(err, errHelloTimeout) {
		t.Errorf("out of turn: %v", err)
	}
	if err := first.loggedIn("viola", false); err != nil {
		t.Fatal(err)
	}
	if err := second.login(t.Context()); err != nil {
		t.Error(err)
	}
	first.release()
	second.release()
}

func TestPenaltyIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(10, 10, 25)
		addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}
		s, err := l.admit(addr)
		if err != nil {
			t.Fatal(err)
		}
		s.penalize(penaltyAuthFail)
		s.penalize(penaltyAuthFail)
		if _, err := l.admit(addr); err != nil {
			t.Errorf("10 s are not enforced: %v", err)
		}
		s.penalize(penaltyAuthFail)
		if _, err := l.admit(addr); !errors.Is(err, errPenalty) {
			t.Errorf("15 s: %v, want %v", err, errPenalty)
		}
		time.Sleep(15*time.Second - 1)
		if _, err := l.admit(addr); !errors.Is(err, errPenalty) {
			t.Errorf("enforced until it is over: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := l.admit(addr); err != nil {
			t.Errorf("after 15 s: %v", err)
		}
		for range 1000 {
			s.penalize(penaltyAuthFail)
		}
		time.Sleep(penaltyMax)
		if _, err := l.admit(addr); err != nil {
			t.Errorf("after the longest penalty: %v", err)
		}
	})
}

func TestSourcesAreBounded(t *testing.T) {
	l := newLimits(1<<20, 10, 25)
	for i := range 2 * maxSources {
		s, err := l.admit(&net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i))})
		if err != nil {
			t.Fatal(err)
		}
		s.penalize(penaltyGrace)
		s.release()
	}
	if len(l.sources) > maxSources {
		t.Errorf("%d sources are kept, want at most %d", len(l.sources), maxSources)
	}
}

// A source that connects again and again without a login is closed like one that
// guesses passwords.
func TestConnectionsWithoutALogin(t *testing.T) {
	f := start(t, Config{})
	buf := make([]byte, 4)
	for range 200 {
		nc, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(nc, "SSH-2.0-x\r\n")
		if err == nil {
			_, err = io.ReadFull(nc, buf)
		}
		nc.Close()
		if err != nil {
			break // closed without a word
		}
	}
	eventually(t, "the source is blocked", func() bool { return len(f.srv.gate.limits.blocked()) == 1 })
	if got := f.srv.gate.limits.blocked()[0]; got.Failed != 0 {
		t.Errorf("%+v: no password was wrong", got)
	}
}

// Sources are refused while the disk of the audit log hangs: others still get in.
func TestRefusalsWaitForTheLogAlone(t *testing.T) {
	f := start(t, Config{})
	hang := make(chan struct{})
	defer close(hang)
	f.audit.mu.Lock()
	f.audit.hang = hang
	f.audit.mu.Unlock()
	for n := range byte(100) { // more than may wait
		source := net.TCPAddr{IP: net.IPv4(127, 0, 1, n)}
		s, err := f.srv.gate.limits.admit(&source)
		if err != nil {
			t.Fatal(err)
		}
		s.penalize(penaltyMin)
		s.release()
		nc, err := (&net.Dialer{LocalAddr: &source}).Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		if said, err := io.ReadAll(nc); !strings.HasPrefix(string(said), "too many failed logins") {
			t.Errorf("a source that is blocked reads %q, %v", said, err)
		}
		nc.Close()
	}
	if got := f.session(f.dial(f.password("admin", "secret")), "shut", "", nil); got.Status != 0 {
		t.Errorf("admin: %+v", got)
	}
}
