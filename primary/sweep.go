package primary

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
)

// sweep removes files that a killed primary had begun to write. The lock is held,
// so nobody else writes them. Files that cannot be removed only take room.
func sweep(state string) {
	for _, name := range []string{keyFile, counterFile, recordFile} {
		_ = durable.Sweep(filepath.Join(state, name))
	}
	_ = os.Remove(filepath.Join(state, recordFile+freshSuffix))
}

// sweepGenerations removes kept binaries that belong to no generation: a primary
// was killed before it recorded one, or the pool no longer exists. It comes after
// the last way back to older code.
func (l *loop) sweepGenerations() {
	dir := filepath.Join(l.cfg.State, generationsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			l.tell(control.Event{Kind: control.EventClusterTrouble, Text: fmt.Sprintf("look for binaries that no generation needs: %v", err)})
		}
		return
	}
	used := make(map[string]bool)
	for _, p := range l.pools {
		for _, g := range p.generations {
			used[g.kept] = true
		}
	}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); !used[path] {
			_ = os.Remove(path) // only room is lost
		}
	}
}
