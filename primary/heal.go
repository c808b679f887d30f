package primary

import (
	"fmt"
	"time"

	"github.com/norestart/norestart/control"
)

const (
	// healLast bounds the time between two attempts to write what could not be
	// written. It begins with one tick and doubles.
	healLast = time.Minute
	// sayAgain is after how long a lasting trouble is told again.
	sayAgain = 5 * time.Minute
)

// healing is about files that could not be written, mostly because of a full
// disk. Without further attempts, and if nothing else happens, the next primary
// would find an old record.
type healing struct {
	due  time.Time // of the next attempt
	wait time.Duration
	said time.Time
}

// heal tries again to write, and tells when it succeeds.
func (l *loop) heal(now time.Time) {
	if l.ended || l.whole() {
		return
	}
	if l.healing.said.IsZero() {
		l.healing.said = now // by the function that found it
	}
	if now.Before(l.healing.due) {
		return
	}
	err := l.rewrite()
	switch {
	case err == nil:
		l.healing = healing{}
		l.tell(control.Event{Kind: control.EventClusterMended, Text: "the record is written again"})
		return
	case now.Sub(l.healing.said) >= sayAgain:
		l.healing.said = now
		l.tell(control.Event{Kind: control.EventClusterTrouble, Text: err.Error()})
	}
	l.healing.wait = min(max(2*l.healing.wait, tickEvery), healLast)
	l.healing.due = now.Add(l.healing.wait)
}

// whole reports whether all is written: the record, and the binary of each
// generation.
func (l *loop) whole() bool {
	if l.saver.sick {
		return false
	}
	for _, p := range l.pools {
		for _, g := range p.generations {
			if g.kept == "" {
				return false
			}
		}
	}
	return true
}

func (l *loop) rewrite() error {
	for _, p := range l.pools {
		for _, g := range p.generations {
			if g.kept != "" {
				continue
			}
			if err := g.keep(l.cfg.State, p.spec.Name); err != nil {
				return fmt.Errorf("pool %s: %w", p.spec.Name, err)
			}
			l.changed = true // the record names the file
		}
	}
	return l.write(false)
}
