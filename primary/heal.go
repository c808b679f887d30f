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
	// sayAgain is after how long a trouble that lasts is told again: it must not
	// be forgotten because it is old.
	sayAgain = 5 * time.Minute
)

// healing is what is known of things that could not be written, the disk being
// full more often than not. Nothing else may happen for long: without another
// attempt the next primary would find what was true before.
type healing struct {
	due  time.Time // of the next attempt
	wait time.Duration
	said time.Time
}

// heal tries again what could not be written, and tells when it is.
func (l *loop) heal(now time.Time) {
	if l.ended || l.whole() {
		return
	}
	if l.healing.said.IsZero() {
		l.healing.said = now // by whoever found it
	}
	if now.Before(l.healing.due) {
		return
	}
	err := l.rewrite()
	switch {
	case err == nil:
		l.healing = healing{}
		l.tell(control.Event{Kind: "cluster.mended", Text: "what runs is written down again"})
		return
	case now.Sub(l.healing.said) >= sayAgain:
		l.healing.said = now
		l.tell(control.Event{Kind: "cluster.trouble", Text: err.Error()})
	}
	l.healing.wait = min(max(2*l.healing.wait, tickEvery), healLast)
	l.healing.due = now.Add(l.healing.wait)
}

// whole tells whether all is written down: the record, and the binary of each
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
			l.changed = true // the record says where it is
		}
	}
	return l.write(false)
}
