package fault

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAround: points are noted while there is a plan, and the call is made in
// any case. That a plan ends the process is seen in the tests of the cluster.
func TestAround(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Variable, dir)
	double := Around("double", func(n int) int { return 2 * n })
	if got := double(3); got != 6 {
		t.Errorf("without a plan it returns %d, want 6", got)
	}
	if err := os.WriteFile(filepath.Join(dir, PlanFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := double(4); got != 8 {
		t.Errorf("with a plan it returns %d, want 8", got)
	}
	passed, err := os.ReadFile(filepath.Join(dir, PassedFile))
	if err != nil {
		t.Fatal(err)
	}
	want := "before fault.TestAround double\nafter fault.TestAround double\n"
	if d := cmp.Diff(want, string(passed)); d != "" {
		t.Errorf("passed (-want +got):\n%s", d)
	}
}
