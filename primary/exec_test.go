package primary

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFailedExecKeepsTheLimit: Go gives the raised soft limit of descriptors
// back before execve(2), and leaves it so.
func TestFailedExecKeepsTheLimit(t *testing.T) {
	var before, after unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	if err := execute(t.TempDir()+"/nowhere", []string{"nowhere"}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &after))
	if before != after {
		t.Errorf("limit %+v, before %+v", after, before)
	}
}
