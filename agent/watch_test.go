package agent

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestLimit(t *testing.T) {
	for errno, want := range map[error]string{
		unix.ENOSPC: "raise it, as root, by sysctl fs.inotify.max_user_watches=N",
		unix.EMFILE: "raise it, as root, by sysctl fs.inotify.max_user_instances=N",
		io.EOF:      "here: EOF",
	} {
		if got := limit(fmt.Errorf("here: %w", errno)).Error(); !strings.Contains(got, want) {
			t.Errorf("%v: %s", errno, got)
		}
	}
}

// TestWait: changes are waited for until they pause, and not for ever.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{}
		for i, want := range []time.Duration{quiet, quiet, quiet, 100 * time.Millisecond, 0, 0} {
			w.note(fmt.Sprint(i % 2))
			if got := w.wait(); got != want {
				t.Errorf("change %d: %v, want %v", i, got, want)
			}
			time.Sleep((impatient - 100*time.Millisecond) / 3)
		}
		if got := w.why(); got != "0 and more have changed" {
			t.Error(got)
		}
	})
}
