package proc

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const statTail = " S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 5 0 987654 1000000 33 18446744073709551615 1 1"

func TestParseStat(t *testing.T) {
	want := stat{parent: 1, group: 42, session: 42, ticks: 200, started: 987654, pages: 33}
	for _, name := range []string{"app", "", "a b", "evil) R 1 1 1", "((", "line\nfeed)"} {
		got, err := parseStat([]byte("42 (" + name + ")" + statTail + "\n"))
		if err != nil {
			t.Errorf("name %q: %v", name, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(stat{})); diff != "" {
			t.Errorf("name %q (-want +got):\n%s", name, diff)
		}
	}
	for _, bad := range []string{"", "42 (app)", "42 app" + statTail, "1 (a) S x x x x x x x x x x x x x x x x x x x x x x"} {
		if got, err := parseStat([]byte(bad)); !errors.Is(err, errStat) {
			t.Errorf("%q: %+v, %v; want an error", bad, got, err)
		}
	}
}

func TestEnded(t *testing.T) {
	for state, want := range map[string]bool{"R": false, "S": false, "T": false, "Z": true, "X": true} {
		if s, err := parseStat([]byte("42 (app) " + state + statTail[2:])); err != nil || s.ended != want {
			t.Errorf("state %s: ended %t, %v; want %t", state, s.ended, err, want)
		}
	}
	if Ended(os.Getpid()) || !Ended(1<<22+1) {
		t.Error("we live, and nobody has a pid above the highest")
	}
}

func TestStartTimeOfNobody(t *testing.T) {
	if _, err := StartTime(1<<22 + 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("start time of a pid above the highest: %v", err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (app)" + statTail))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStat(b)
		if err != nil && s != (stat{}) {
			t.Errorf("an error and a value: %+v, %v", s, err)
		}
	})
}
