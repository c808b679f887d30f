package typeset

import "testing"

func TestDistance(t *testing.T) {
	for pair, want := range map[[2]string]int{
		{"", ""}: 0, {"a", ""}: 1, {"abc", "abc"}: 0, {"abc", "acb"}: 1, {"abc", "abd"}: 1,
		{"abc", "ab"}: 1, {"kitten", "sitting"}: 3, {"ifno", "info"}: 1,
	} {
		if got := Distance(pair[0], pair[1]); got != want {
			t.Errorf("Distance(%q, %q) = %d, want %d", pair[0], pair[1], got, want)
		}
		if got := Distance(pair[1], pair[0]); got != want {
			t.Errorf("Distance(%q, %q) = %d, want %d", pair[1], pair[0], got, want)
		}
	}
}
