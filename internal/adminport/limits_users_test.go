package adminport

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// visit logs users in and keeps account of who had to go.
type visit struct {
	t     *testing.T
	l     *limits
	ended []string // user/number: why
	count map[string]int
}

func (v *visit) login(user string) (*admission, error) {
	v.t.Helper()
	s, err := v.l.admit(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)})
	if err != nil {
		return nil, err
	}
	v.count[user]++
	name := fmt.Sprintf("%s/%d", user, v.count[user])
	s.evictBy(func(why error) { v.ended = append(v.ended, fmt.Sprintf("%s: %v", name, why)) })
	if err := s.login(v.t.Context()); err != nil {
		v.t.Fatal(err)
	}
	if err := s.loggedIn(user, strings.HasPrefix(user, "admin")); err != nil {
		s.release()
		return nil, err
	}
	time.Sleep(time.Second)
	return s, nil
}

func (v *visit) want(ended ...string) {
	v.t.Helper()
	if strings.Join(v.ended, "\n") != strings.Join(ended, "\n") {
		v.t.Errorf("ended: %q, want %q", v.ended, ended)
	}
	v.ended = nil
}

func visits(t *testing.T, connections, perUser int, test func(*visit)) {
	synctest.Test(t, func(t *testing.T) {
		test(&visit{t: t, l: newLimits(connections, 10, perUser), count: map[string]int{}})
	})
}

// A user with too many connections gives up its own, one that does nothing first.
func TestPlacesOfOneUser(t *testing.T) {
	visits(t, 100, 3, func(v *visit) {
		var leave []func()
		for range 3 {
			s, err := v.login("viola")
			if err != nil {
				v.t.Fatal(err)
			}
			leave = append(leave, s.occupy())
			time.Sleep(time.Second)
		}
		leave[1]()
		for _, gone := range []string{"viola/2", "viola/4", "viola/5"} { // those that came later are idle
			if _, err := v.login("viola"); err != nil {
				v.t.Fatal(err)
			}
			v.want(fmt.Sprintf("%s: %v", gone, errUserFull))
		}
		if got := v.l.total; got != 3 {
			v.t.Errorf("%d connections, want 3", got)
		}
	})
}

// All commands run: the one that began first ends.
func TestPlacesAllBusy(t *testing.T) {
	visits(t, 100, 2, func(v *visit) {
		for range 3 {
			s, err := v.login("viola")
			if err != nil {
				v.t.Fatal(err)
			}
			s.occupy()
		}
		v.want(fmt.Sprintf("viola/1: %v", errUserFull))
	})
}

// Viewers take all places there are: admins get in, and stay.
func TestAdminsGetAPlace(t *testing.T) {
	visits(t, 10, 9, func(v *visit) {
		for range 9 { // the tenth place is for a login in hand
			s, err := v.login("viola")
			if err != nil {
				v.t.Fatal(err)
			}
			s.occupy()
		}
		for n := range 9 {
			if _, err := v.login("admin"); err != nil {
				v.t.Fatal(err)
			}
			v.want(fmt.Sprintf("viola/%d: %v", n+1, errMakeRoom))
		}
		if _, err := v.login("viola"); err != errFull {
			v.t.Errorf("a viewer where all places are admins': %v", err)
		}
		if _, err := v.login("admin2"); err != nil { // the greedier of two
			v.t.Error(err)
		}
		v.want(fmt.Sprintf("admin/1: %v", errMakeRoom))
		if v.l.total != 9 || v.l.users.total != 9 {
			v.t.Errorf("%d connections, %d places taken", v.l.total, v.l.users.total)
		}
	})
}

// Among viewers the one with most connections gives way, until both have as many.
func TestGreediestGivesWay(t *testing.T) {
	visits(t, 10, 9, func(v *visit) {
		for range 9 {
			if _, err := v.login("viola"); err != nil {
				v.t.Fatal(err)
			}
		}
		for range 20 {
			_, _ = v.login("vera")
		}
		if a, b := len(v.l.users.accounts["viola"].admissions), len(v.l.users.accounts["vera"].admissions); a+b != 9 || a < 4 || b < 4 {
			v.t.Errorf("%d and %d places", a, b)
		}
	})
}

// Many sources with one silent connection each shut nobody out.
func TestB3_many_sources_take_all(t *testing.T) {
	l := newLimits(20, 10, 5)
	ended := 0
	for n := range byte(40) {
		s, err := l.admit(&net.TCPAddr{IP: net.IPv4(192, 0, 2, n)})
		if err != nil {
			t.Fatalf("source %d: %v", n, err)
		}
		s.evictBy(func(error) { ended++ })
	}
	if ended != 20 || l.total != 20 {
		t.Errorf("%d ended, %d are left", ended, l.total)
	}
}

// The whole way: each place is taken by a viewer with a command that never ends.
// The admin gets in at once, and the viewer is told.
func TestViewersShutNobodyOut(t *testing.T) {
	f := start(t, Config{MaxConnections: 10, MaxPerUser: 9})
	told := make(chan string, 9)
	for range 9 {
		client := f.dial(f.password("viewer", "look"))
		sess, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out := &lockedBuffer{}
		sess.Stderr = out
		if err := sess.Start("wait"); err != nil {
			t.Fatal(err)
		}
		wait(t, "the command", f.started)
		go func() {
			_ = sess.Wait()
			told <- out.String()
		}()
	}
	if got := f.session(f.dial(f.password("admin", "secret")), "shut", "", nil); got.Status != 0 || got.Out != "shut\n" {
		t.Errorf("admin: %+v", got)
	}
	if got := wait(t, "the viewer's end", told); got != errMakeRoom.Error()+"\n" {
		t.Errorf("the viewer reads %q", got)
	}
	for range 8 {
		f.dial(f.password("admin", "secret"))
	}
	banner := make(chan string, 1)
	cfg := f.password("viewer", "look")
	cfg.BannerCallback = func(text string) error { banner <- text; return nil }
	if c, err := gossh.Dial("tcp", f.addr, cfg); err == nil {
		c.Close()
		t.Error("a viewer took the place of an admin")
	}
	if got := wait(t, "the banner", banner); !strings.HasPrefix(got, errFull.Error()) {
		t.Errorf("the refused viewer reads %q", got)
	}
	if blocked := f.srv.gate.limits.blocked(); len(blocked) != 0 {
		t.Errorf("a full port is no wrong password: %+v", blocked)
	}
}
