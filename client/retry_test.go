package client

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAgain(t *testing.T) {
	refused := errors.New("connection refused")
	for _, tt := range []struct {
		name    string
		retry   Retry
		answers []error // nil: connected
		want    error
		shown   string
		dials   int
	}{
		{"at once", Retry{}, []error{nil}, nil, "Connection lost. Reconnecting... done!\n", 1},
		{"later", Retry{}, []error{refused, refused, nil}, nil, "Connection lost. Reconnecting... done!\n", 3},
		{"gives up", Retry{Attempts: 2}, []error{refused, refused, nil}, refused, "Connection lost. Reconnecting... failed.\n", 2},
		{"another key", Retry{}, []error{refused, &TrustError{Message: "x"}}, &TrustError{Message: "x"}, "Connection lost. Reconnecting... failed.\n", 2},
		{"never", Retry{Attempts: -1}, nil, ErrLost, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			dials := 0
			err := tt.retry.again(t.Context(), &out, func(context.Context) error {
				dials++
				return tt.answers[dials-1]
			})
			if diff := cmp.Diff([]any{tt.shown, tt.dials}, []any{out.String(), dials}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
			if (err == nil) != (tt.want == nil) || err != nil && err.Error() != tt.want.Error() {
				t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
			}
		})
	}
}

// TestPause: about two minutes in all, and never much of a rush.
func TestPause(t *testing.T) {
	var whole time.Duration
	for attempt := range defaultAttempts {
		d := Retry{}.pause(attempt + 1)
		whole += d
		if most := maxDelay; d < 0 || d > most || attempt > 0 && d < defaultDelay*4/5 {
			t.Errorf("attempt %d after %v", attempt+1, d)
		}
	}
	if whole < 90*time.Second || whole > 150*time.Second {
		t.Errorf("%v in all", whole)
	}
}

func TestInterruptible(t *testing.T) {
	interrupts := make(chan struct{}, 1)
	interrupts <- struct{}{}
	err := interruptible(t.Context(), interrupts, func(ctx context.Context) error { return wait(ctx, time.Hour) })
	if !errors.Is(err, ErrInterrupted) {
		t.Errorf("error %v", err)
	}
}
