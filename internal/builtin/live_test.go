package builtin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/typeset"
)

func TestWatch(t *testing.T) {
	for name, screen := range map[string]commandline.Screen{"blocks": {}, "in place": {Width: 30, Height: 5, Live: true}} {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t, hello())
			s.in.Mode, s.in.Screen = commands.Interactive, screen
			got := s.do(t.Context(), "status --watch 1s --for 2500ms")
			if got.Status != 0 || strings.Count(got.Out, "hello: NOT") != 3 {
				t.Errorf("%s: %d %q", name, got.Status, got.Out)
			}
			again := "\x1b[4A\r\x1b[Jevery 1s; Ctrl-C ends it\nhello: NOT WELL: web has 1 de…\nprimary"
			if name == "in place" && strings.Count(got.Out, again) != 2 {
				t.Errorf("%s: %q", name, got.Out)
			}
			if name == "blocks" && strings.Contains(got.Out, "\x1b") {
				t.Errorf("%s: %q", name, got.Out)
			}
		})
	}
}

func TestWatchEnds(t *testing.T) {
	s := newSession(t, hello())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := s.do(ctx, "worker list --watch"); got.Status != commands.StatusCancelled || got.Err != "" {
		t.Errorf("%+v", got)
	}
	for line, status := range map[string]int{
		"status --watch 0s": 2, "status --watch=x": 2, "status --watch x": 2, "job list --for 1ms": 0,
		"worker info --watch 1h web/0 --for 1ms": 0, "generation list --watch=1h --for=1ms": 0,
		"worker list --watch 100ms | head 2": 0,
	} {
		if got := s.do(t.Context(), line); got.Status != status {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

// While there is no primary the watch goes on; any other failure ends it.
func TestWatchWithoutAPrimary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := hello()
		f.err = control.ErrUnavailable
		got := newSession(t, f).do(t.Context(), "worker list --watch 1s --for 1500ms")
		if got.Status != 0 || got.Out != "error: no primary\n\nerror: no primary\n" {
			t.Errorf("%+v", got)
		}
		f.err = errors.New("broken")
		if got := newSession(t, f).do(t.Context(), "worker list --watch"); got.Status != 1 || got.Err != "error: broken\n" {
			t.Errorf("%+v", got)
		}
	})
}

// A job shows a bar for its pool below its lines, and leaves none.
func TestProgress(t *testing.T) {
	f := hello()
	f.jobs = []control.Job{{ID: "31", Kind: "reload", Pools: []string{"web"}, State: control.JobRunning, Total: 4}}
	s := newSession(t, f)
	s.in.Mode, s.in.Screen = commands.Interactive, commandline.Screen{Width: 80, Height: 24, Live: true}
	got := s.do(t.Context(), "reload")
	want := "web [....................] 0/4\n" +
		"\x1b[1A\r\x1b[Jworker web/0 replaced (1/4)\nweb [#####...............] 1/4\n\x1b[1A\r\x1b[J"
	if got.Status != 0 || got.Out != want {
		t.Errorf("%d %q, want %q", got.Status, got.Out, want)
	}
}

func TestBar(t *testing.T) {
	b := bar{pool: "web", total: 8, ready: map[string]bool{"web/0": true, "web/1": true}, inHand: "web/2 is being replaced"}
	if got, want := b.text(20*time.Second), "web [#####...............] 2/8  web/2 is being replaced  1m 0s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestColours(t *testing.T) {
	s := newSession(t, hello())
	s.in.Mode, s.in.Screen = commands.Interactive, commandline.Screen{Width: 300, Height: 24, Colour: true}
	got := s.do(t.Context(), "worker list").Out
	if !strings.Contains(got, "\x1b[32mready\x1b[0m  2 ") || !strings.Contains(got, "\x1b[31mdead\x1b[0m   2 ") {
		t.Errorf("%q", got)
	}
	for _, line := range []string{"worker list | match .", "worker list --json"} {
		if got := s.do(t.Context(), line).Out; strings.Contains(got, "\x1b") {
			t.Errorf("%s: %q", line, got)
		}
	}
	for width := 1; width < 120; width++ {
		s.in.Screen.Width = width
		for line := range strings.Lines(s.do(t.Context(), "worker list").Out) {
			if n := typeset.Columns(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d columns of %d: %q", n, width, line)
			}
		}
	}
}
