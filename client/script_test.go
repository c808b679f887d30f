package client

import (
	"context"
	"errors"
	"os"
	"testing"
)

// A script from a pipe that says nothing ends with the context of who waits for
// it, and half a line is no command.
func TestScriptEnds(t *testing.T) {
	for _, before := range []string{"", "stop --y"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		if _, err := w.WriteString(before); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			line, err := NewScript("pipe", NewInput(r)).next(ctx, false)
			if line != "" {
				t.Errorf("a command: %q", line)
			}
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
