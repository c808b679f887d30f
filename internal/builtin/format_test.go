package builtin

import (
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/commands"
)

func TestWidth(t *testing.T) {
	s := newSession(t, hello())
	s.in.Screen.Width = 20
	wide := s.do(t.Context(), "worker list")
	s.in.Mode = commands.Interactive
	for line := range strings.Lines(s.do(t.Context(), "worker list").Out) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 20 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(wide.Out, "LAST EXIT") {
		t.Errorf("exec depends on the width:\n%s", wide.Out)
	}
}

func TestFormat(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59999 * time.Millisecond: "59s", time.Minute: "1m 0s", 3*time.Hour + 59*time.Second: "3h 0m",
		24 * time.Hour: "1d 0h", 400*24*time.Hour + 5*time.Hour: "400d 5h",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%s) = %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 40*time.Millisecond + 300*time.Microsecond: "40ms", 999 * time.Millisecond: "999ms",
		1290 * time.Millisecond: "1.2s", 10900 * time.Millisecond: "10s", 61 * time.Second: "1m 1s",
	} {
		if got := took(d); got != want {
			t.Errorf("took(%s) = %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 9999: "9999", 10000: "10K", 84 << 20: "84M", 20 << 30: "20G", 1 << 50: "1048576G"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
}
