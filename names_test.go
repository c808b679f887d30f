package norestart

import (
	"strings"
	"testing"
)

func TestPoolNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "web": true, "a_b-9": true, strings.Repeat("a", 32): true,
		"": false, "9a": false, "_a": false, "-a": false, "Web": false, "a.b": false, "a\n": false, "ä": false, "a\xff": false, strings.Repeat("a", 33): false,
	} {
		if got := isPoolName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
