package shell

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMarkIsClosed: what a user typed cannot end a mark early and write to a
// terminal, or make up another one.
func TestMarkIsClosed(t *testing.T) {
	got := mark("run", "foo \x1b\\\x1b_norestart;bye;0\x1b\\ \u009c")
	want := "\x1b_norestart;run;foo \\x1b\\\\x1b_norestart;bye;0\\x1b\\ \\u009c\x1b\\"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mark (-want +got):\n%s", diff)
	}
}

func TestWithoutCancel(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		cancels  int
	}{{"status\n", "status\n", 0}, {"\x03", "", 1}, {"a\x03b\x03\n", "ab\n", 2}, {"", "", 0}} {
		p, cancels := []byte(tt.in), 0
		n := withoutCancel(p, func() { cancels++ })
		if diff := cmp.Diff([]any{tt.want, tt.cancels}, []any{string(p[:n]), cancels}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
}
