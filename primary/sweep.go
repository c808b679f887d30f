package primary

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
)

// sweep removes what a primary that was killed had begun to write. The lock is
// held: nobody else writes these files. What cannot be removed only takes room.
func sweep(state string) {
	for _, name := range []string{keyFile, counterFile, recordFile} {
		_ = durable.Sweep(filepath.Join(state, name))
	}
	_ = os.Remove(filepath.Join(state, recordFile+freshSuffix))
}

// sweepGenerations removes the kept binaries that are of no generation any
// more: of one that was not written down before the primary was killed, or of a
// pool that there is no more. It comes after the last way back to older code.
func (l *loop) sweepGenerations() {
	dir := filepath.Join(l.cfg.State, generationsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			l.tell(control.Event{Kind: "cluster.trouble", Text: fmt.Sprintf("look for binaries that nobody needs: %v", err)})
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
