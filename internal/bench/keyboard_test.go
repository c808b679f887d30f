package main

import (
	"context"
	"strings"
	"testing"
)

// What was waited for is over: the next wait looks behind it.
func TestKeyboardSees(t *testing.T) {
	k := &keyboard{out: make(chan []byte, 4)}
	k.reading.Go(func() { k.read(strings.NewReader("admin> x")) })
	for _, text := range []string{"min>", "x"} {
		if err := k.sees(t.Context(), text); err != nil {
			t.Error(err)
		}
	}
	if err := k.sees(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "the session ended") {
		t.Errorf("a key was seen twice: %v", err)
	}
	k.reading.Wait()
	silent := &keyboard{out: make(chan []byte)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := silent.sees(ctx, "x"); err == nil {
		t.Error("nothing was shown")
	}
}
