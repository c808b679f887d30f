package commandline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/norestart/norestart/commands"
)

// A completer has 200 ms, whatever the caller's context has.
func TestCompleteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := NewRegistry(nil, commands.Command{
			Name: "slow", Role: commands.Viewer, Run: func(context.Context, *commands.Call) error { return nil },
			Complete: func(ctx context.Context, _ *commands.Call, _ string) ([]string, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, list := r.Complete(t.Context(), Completion{Line: "slow ", Role: commands.Viewer}); list != nil || time.Since(began) != completeWithin {
			t.Errorf("%v after %s", list, time.Since(began))
		}
	})
}
