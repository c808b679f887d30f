package commands

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHelp(t *testing.T) {
	s := newSession(t, hello(), Command{Name: "flush", Role: Viewer, Run: nothing, Summary: "empty the cache"})
	want := result{0, lines(
		"reload [POOL…] [--timeout TIME] [--max-surge N] [--keep] [--detach]",
		"  new generation of the application's pools, no request lost (role operator)",
		"  --timeout TIME  time for each worker to become ready",
		"  --max-surge N   workers to replace at once; 0: each ends before its successor starts",
		"  --keep          leave what was replaced when a later worker fails",
		"  --detach        print the id of the job and do not wait",
		"  Each worker is replaced when its successor is ready. If the first one fails, nothing",
		"  has changed; if a later one fails, those that were replaced are rolled back, with --keep",
		"  only if the address has changed, too: a pool cannot keep two."), ""}
	for _, line := range []string{"help reload", "? reload", "reload --help", "reload web --help"} {
		if diff := cmp.Diff(want, s.do(t.Context(), line)); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
	all := s.do(t.Context(), "help")
	for _, part := range []string{"\nApplication\n  flush ", "What starts what again\n  reload ", "  worker info [ID] "} {
		if !strings.Contains(all.Out, part) {
			t.Errorf("help has no %q:\n%s", part, all.Out)
		}
	}
	if got := s.do(t.Context(), "worker ?"); got != s.do(t.Context(), "help worker") || !strings.Contains(got.Out, "\nworker list ") {
		t.Errorf("worker ?: %+v", got)
	}
	if got := s.do(t.Context(), "worker --help"); got != s.do(t.Context(), "help worker") {
		t.Errorf("worker --help: %+v", got)
	}
	if got := s.do(t.Context(), "help relaod"); got != (result{127, "", "error: unknown command \"relaod\". Did you mean: reload\n"}) {
		t.Errorf("%+v", got)
	}
	s.in.Role = Viewer
	if got := s.do(t.Context(), "help stop"); got.Status != StatusDenied {
		t.Errorf("%+v", got)
	}
	if got := s.do(t.Context(), "help"); strings.Contains(got.Out, "What starts what again") {
		t.Errorf("a viewer needs no such table:\n%s", got.Out)
	}
}
