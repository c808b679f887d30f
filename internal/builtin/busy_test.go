package builtin

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

const waiting = "waiting: reload by viola has been running for 3s (job "

// TestWait: a command that meets jobs is refused and names --wait, with which it
// waits for the end of each.
func TestWait(t *testing.T) {
	for line, want := range map[string][]string{
		"scale web 8 --wait":           {"scale web to 8 seen -", "follow 4", "scale web to 8 seen -", "follow 5", "scale web to 8 seen -"},
		"rollback web 1 --wait":        {`rollback "web" to 1`, "follow 4", `rollback "web" to 1`, "follow 5", `rollback "web" to 1`},
		"restart --wait":               {"restart", "follow 4", "restart", "follow 5", "restart"},
		"worker restart web/1 --wait":  {"restart worker web/1", "follow 4", "restart worker web/1", "follow 5", "restart worker web/1"},
		"worker stop web/1 --wait":     {"workers", "stop worker web/1", "follow 4", "stop worker web/1", "follow 5", "stop worker web/1"},
		"reload web --wait --detach":   {`reload ["web"] timeout 0s surge 0 keep false`, "follow 4", `reload ["web"] timeout 0s surge 0 keep false`, "follow 5", `reload ["web"] timeout 0s surge 0 keep false`},
		"scale web +1 --wait --detach": {"status", "scale web to 5 seen 4", "follow 4", "status", "scale web to 7 seen 6", "follow 5", "status", "scale web to 9 seen 8"},
	} {
		f := hello()
		f.total, f.inWay, f.end = 1, []string{"4", "5"}, control.Job{ID: "31", State: control.JobOK}
		f.onWait = func() { f.status.Pools[0].Target += 2 }
		got := newSession(t, f).do(t.Context(), line)
		if got.Status != 0 || got.Err != waiting+"4)\n"+waiting+"5)\n" {
			t.Errorf("%s: %+v", line, got)
		}
		if asked := f.asked(); len(asked) < len(want) || !cmp.Equal(want, asked[:len(want)]) {
			t.Errorf("%s: %s", line, cmp.Diff(want, asked))
		}
	}
	f := hello()
	f.inWay = []string{"4"}
	refused := result{1, "", lines("error: reload by viola has been running for 3s (job 4)", "hint: job follow 4, or the same command with --wait")}
	if got := newSession(t, f).do(t.Context(), "scale web 8"); got != refused {
		t.Errorf("%+v", got)
	}
}

// TestWaitForLess: what a relative wish comes to after the wait does not end the
// last worker unasked.
func TestWaitForLess(t *testing.T) {
	f := hello()
	f.inWay = []string{"4"}
	f.onWait = func() { f.status.Pools[0].Target = 1 }
	want := result{1, "", waiting + "4)\n" + lines("error: web has 1 worker now: -1 would end all of them", "hint: scale web 0")}
	if got := newSession(t, f).do(t.Context(), "scale web -1 --wait"); got != want {
		t.Errorf("%+v", got)
	}
}
