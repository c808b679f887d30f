package adminport

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
)

func blockSource(t *testing.T, l *limits, addr net.Addr) {
	t.Helper()
	s, err := l.admit(addr)
	if err != nil {
		t.Fatal(err)
	}
	s.penalize(penaltyMax)
	s.release()
}

// A guesser in the same /64 blocks it. From the address that has logged in before
// a few connections a minute may try a key; from others none.
func TestKeyWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(100, 10, 25)
		l.known, _ = openKnownAddresses("")
		mine, other := &net.TCPAddr{IP: net.ParseIP("2001:db8::1")}, &net.TCPAddr{IP: net.ParseIP("2001:db8::2")}
		l.known.note("viola", addressOf(mine))
		s, err := l.admit(mine)
		if err != nil || s.keyOnly {
			t.Fatalf("before it is blocked: %+v, %v", s, err)
		}
		blockSource(t, l, other)
		until := l.blocked()[0].Until
		tries := func(addr net.Addr, want int) {
			t.Helper()
			for range want {
				s, err := l.admit(addr)
				if err != nil || !s.keyOnly {
					t.Fatalf("a try with a key: %+v, %v", s, err)
				}
				s.penalize(penaltyAuthFail)
			}
			if _, err := l.admit(addr); err != errPenalty {
				t.Errorf("one try more: %v", err)
			}
		}
		tries(other, 0)
		tries(mine, keyWayBurst)
		time.Sleep(keyWayEvery)
		tries(mine, 1)
		time.Sleep(time.Minute)
		tries(mine, keyWayBurst)
		if got := l.blocked()[0].Until; got != until {
			t.Errorf("blocked until %v, before %v", got, until)
		}
	})
}

// The same with a real client: its key lets in, its password is not even looked
// at, and nothing is counted as a failed login.
func TestKeyLetsInWhereGuessersAre(t *testing.T) {
	f := start(t, Config{})
	byKey := &gossh.ClientConfig{
		User: "viola", Auth: []gossh.AuthMethod{gossh.PublicKeys(f.viola)},
		HostKeyCallback: gossh.FixedHostKey(f.key.PublicKey()), Timeout: within,
	}
	blockSource(t, f.srv.gate.limits, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err := f.try(byKey); err == nil {
		t.Error("a key from an address that is not known")
	}
	f.srv.gate.limits.forget(prefixOf(netip.MustParseAddr("127.0.0.1")))
	f.dial(byKey)
	blockSource(t, f.srv.gate.limits, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err := f.try(f.password("admin", "secret")); err == nil {
		t.Error("a password from a source that is blocked")
	}
	if got := f.session(f.dial(byKey), "foo", "", nil); got.Status != 0 {
		t.Errorf("the key: %+v", got)
	}
	if got := f.audit.events(audit.EventRefused); len(got) > 1 { // the closed connection
		t.Errorf("refused: %+v", got)
	}
}

// Addresses outlive the process, of each user the newest, and nobody else's are
// forgotten for them.
func TestKnownAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "addresses.json")
	there := func(user string) bool { return user != "gone" }
	addr := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	old, err := openKnownAddresses(path)
	if err != nil {
		t.Fatal(err)
	}
	next, err := openKnownAddresses(path)
	if err != nil {
		t.Fatal(err)
	}
	old.note("admin", addr(1))
	old.note("gone", addr(2))
	for n := range byte(100) {
		next.note("viola", addr(100+n))
	}
	if next.note("viola", addr(199)) {
		t.Error("an address is new twice")
	}
	for _, k := range []*knownAddresses{old, next, old} {
		if err := k.save(there); err != nil {
			t.Fatal(err)
		}
	}
	got, err := openKnownAddresses(path)
	if err != nil || !got.has(addr(1)) || got.has(addr(2)) || !got.has(addr(199)) || got.has(addr(150)) {
		t.Errorf("%v, %v", got.users, err)
	}
	if diff := cmp.Diff(old.users, got.users, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err := openKnownAddresses(path); err == nil || len(k.users) != 0 {
		t.Errorf("a broken file: %v, %v", k.users, err)
	}
}
