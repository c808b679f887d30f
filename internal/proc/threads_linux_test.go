package proc

import (
	"os"
	"testing"
)

func TestSpareThreads(t *testing.T) {
	const enough = 40 // more than a test has anyway
	SpareThreads(enough)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	if len(tasks) < enough {
		t.Errorf("%d threads, want %d at least", len(tasks), enough)
	}
}
