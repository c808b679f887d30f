package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/norestart/norestart/internal/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestChaos is a short run: every kind of action is drawn once. The seed is
// another one each time, and printed: a run that fails is worth a look, not
// another try.
func TestChaos(t *testing.T) {
	reigns(t, "-for", "30s")
}

func reigns(t *testing.T, args ...string) {
	t.Helper()
	var out strings.Builder
	err := command(t.Context(), args, &out)
	t.Logf("%s", out.String())
	if err != nil {
		t.Errorf("chaos %v: %v", args, err)
	}
}

// TestLossIsFound lets chaos look at a program that loses requests: a run that
// finds nothing there would find nothing anywhere.
func TestLossIsFound(t *testing.T) {
	for _, way := range []string{"exit", "shutdown"} {
		t.Run(way, func(t *testing.T) {
			var out strings.Builder
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			err := command(ctx, []string{"-program", harness.Module + "/internal/chaos/lossy", "-drain", way, "-only", "reload", "-rate", "1200", "-for", "1m", "-seed", "1"}, &out)
			if err == nil || !strings.Contains(out.String(), "lost request: ") {
				t.Errorf("chaos ended with %v and said\n%s", err, out.String())
			}
			if want := "the last actions, seed 1:"; !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-only", "reload,earthquake"}, {"-for", "0s"}, {"-rate", "0"}, {"more"}} {
		if err := command(t.Context(), args, new(strings.Builder)); err == nil {
			t.Errorf("chaos %v was not refused", args)
		}
	}
}
