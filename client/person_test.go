package client

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHiddenKey(t *testing.T) {
	for _, tt := range []struct {
		keys, want string
		done       bool
		err        error
	}{
		{"secret\r", "secret", true, nil},
		{"wrong\x15right\n", "right", true, nil},
		{"aü\x7f\x08b\r", "b", true, nil},
		{"\x7fa\r", "a", true, nil},
		{"half", "half", false, nil},
		{"no\x1anap\r", "nonap", true, nil}, // Ctrl-Z
		{"half\x03", "", false, ErrInterrupted},
		{"half\x04", "", false, errEnd},
	} {
		var typed []byte
		var done bool
		var err error
		for i := 0; i < len(tt.keys) && !done && err == nil; i++ {
			typed, done, err = hiddenKey(typed, tt.keys[i])
		}
		if diff := cmp.Diff(tt.want, string(typed)); diff != "" || done != tt.done || !errors.Is(err, tt.err) {
			t.Errorf("keys %q: done %t, error %v (-want +got):\n%s", tt.keys, done, err, diff)
		}
	}
}
