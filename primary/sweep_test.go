package primary

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestSweep: what a primary that was killed had begun to write goes; what is
// named by the record stays.
func TestSweep(t *testing.T) {
	l := newSurvivors(t, aged("web", 1))
	kept := filepath.Join(l.cfg.State, generationsDir, "web-1")
	l.pool().Generations[0].Kept = kept
	begun := []string{".cluster.tmp-1", ".key.tmp-2", ".incarnation.tmp-3", "generations/web-2", "generations/gone-1"}
	must(t, os.Mkdir(filepath.Dir(kept), 0o700))
	must(t, os.WriteFile(kept, nil, 0o700))
	for _, name := range begun {
		must(t, os.WriteFile(filepath.Join(l.cfg.State, name), nil, 0o600))
	}
	l.comeBack(l.serving(0, 11), ready)
	l.next()
	for _, name := range begun {
		if _, err := os.Lstat(filepath.Join(l.cfg.State, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want it gone", name, err)
		}
	}
	if _, err := os.Lstat(kept); err != nil {
		t.Error(err)
	}
}
