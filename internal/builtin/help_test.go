package builtin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/typeset"
)

func TestHelp(t *testing.T) {
	const apart = "What reload, restart and worker restart replace"
	s := newSession(t, hello(), commands.Command{Name: "flush", Role: commands.Viewer, Run: nothing, Summary: "empty the cache"})
	want := result{0, lines(
		"reload [POOL…] [--timeout TIME] [--max-surge N] [--watch TIME] [--dry-run] [--update] [--keep] [--wait] [--detach]",
		"  run new code in the application's pools, no request lost (role operator)",
		"  --timeout TIME  time for each worker to become ready",
		"  --max-surge N   workers to replace at once; 0: end each before its successor starts",
		"  --watch TIME    time to watch after the last worker; crashes roll back; 0: none",
		"  --dry-run       tell what would change, and change nothing",
		"  --update        run the pools' updates first, see update in norestart.toml",
		"  --keep          if a later worker fails, do not roll back those replaced",
		"  --wait          if another job is in the way, wait for its end, then begin",
		"  --detach        print the id of the job and end; the job goes on",
		"  Starts a new generation: each worker is replaced once its successor is ready. If the",
		"  first successor fails, nothing has changed; if a later one fails, the replaced workers",
		"  are rolled back. With --keep they stay, unless the address of the pool has changed: a",
		"  pool cannot keep two. With --watch the job goes on after the last worker, and rolls",
		"  back if workers crash more often than before; cancelled then, it leaves the new",
		"  generation running. With --update it begins with the update commands of the pools, and",
		"  each pool's check command comes before its new generation: if one of them fails, no",
		"  worker is touched. With --dry-run it is only told what would change and run: the",
		"  values of variables are not shown."), ""}
	for _, line := range []string{"help reload", "? reload", "reload --help", "reload web --help"} {
		if diff := cmp.Diff(want, s.do(t.Context(), line)); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
	all := s.do(t.Context(), "help all")
	for _, part := range []string{"\nApplication\n  flush ", apart + "\n  reload ", "  worker info [ID] "} {
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
	s.in.Role = commands.Viewer
	if got := s.do(t.Context(), "help stop"); got.Status != commands.StatusDenied {
		t.Errorf("%+v", got)
	}
	if got := s.do(t.Context(), "help all"); strings.Contains(got.Out, apart) {
		t.Errorf("a viewer needs no such table:\n%s", got.Out)
	}
}

// TestHelpFits holds help to a terminal of 24 lines, the prompt among them, with
// all that the admin port adds.
func TestHelpFits(t *testing.T) {
	custom := []commands.Command{
		{Name: "status2", Hidden: true, Role: commands.Viewer, Run: nothing},
		{Name: "exit", Group: groupSession, Role: commands.Viewer, Run: nothing},
		{Name: "history", Group: groupSession, Role: commands.Viewer, Run: nothing},
		{Name: "clear", Group: groupSession, Role: commands.Viewer, Run: nothing},
	}
	for i := range 40 {
		custom = append(custom, commands.Command{Name: "flush-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26), Role: commands.Viewer, Run: nothing})
	}
	s := newSession(t, hello(), custom...)
	s.in.Mode, s.in.Screen = commands.Interactive, commandline.Screen{Width: 80, Height: 24}
	got := s.do(t.Context(), "help")
	if lines := strings.Split(got.Out, "\n"); len(lines) > 24 { // the last one is the prompt's
		t.Errorf("%d lines:\n%s", len(lines), got.Out)
	}
	for line := range strings.Lines(got.Out) {
		if typeset.Columns(strings.TrimSpace(line)) > 80 {
			t.Errorf("wraps: %s", line)
		}
	}
	if strings.Contains(got.Out, "status2") || !strings.Contains(got.Out, "40 in all") {
		t.Errorf("%s", got.Out)
	}
	all := s.do(t.Context(), "help all")
	for _, c := range s.registry.Visible(commands.Admin) {
		if in := strings.Contains(all.Out, "  "+c.Name); in == c.Hidden {
			t.Errorf("help all has %q: %t", c.Name, in)
		}
	}
	s = newSession(t, hello(), commands.Command{Name: "all", Role: commands.Viewer, Run: nothing, Summary: "of the application"})
	if got := s.do(t.Context(), "help all"); !strings.Contains(got.Out, "of the application") {
		t.Errorf("an own command of that name: %s", got.Out)
	}
}
