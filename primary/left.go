package primary

import (
	"strings"

	"github.com/norestart/norestart/internal/proc"
)

// Left is what the record in a state directory says of a cluster without a
// primary.
type Left struct {
	Stopped bool                // in order, with nothing left
	Listen  map[string][]string // of each pool, as URLs
	Workers map[string]int      // that still run, of each pool
	Targets map[string]int
}

// ReadLeft returns nil if no primary has ever run with this state directory.
func ReadLeft(state string) (*Left, error) {
	r, err := loadRecord(state)
	if r == nil || err != nil {
		return nil, err
	}
	left := &Left{Stopped: r.Stopped, Listen: map[string][]string{}, Workers: map[string]int{}, Targets: map[string]int{}}
	for _, p := range r.Pools {
		left.Listen[p.Name], left.Targets[p.Name] = p.Listen, p.Target
		for _, s := range p.Slots {
			if r.BootID == bootID() && s.Cur != nil && s.Cur.lives() {
				left.Workers[p.Name]++
			}
		}
	}
	return left, nil
}

func (r processRecord) lives() bool {
	started, err := proc.StartTime(r.PID)
	return err == nil && started == r.Start && !proc.Ended(r.PID)
}

// Address is the first address of a pool, HOST:PORT; empty: none, or a port that
// the kernel chose.
func (l *Left) Address(pool string) string {
	if len(l.Listen[pool]) == 0 || strings.HasSuffix(l.Listen[pool][0], ":0") {
		return ""
	}
	return strings.TrimPrefix(l.Listen[pool][0], "tcp://")
}
