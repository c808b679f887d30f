package primary

import (
	"time"

	"github.com/norestart/norestart/control"
)

// crashes are the unrequested ends of a slot's ready processes. Each was
// replaced, so nothing else shows them.
type crashes struct {
	Count int       `cbor:"count"`
	Since time.Time `cbor:"since"`
	Last  time.Time `cbor:"last"`
	Why   string    `cbor:"why,omitempty"` // of the last
}

func (c *crashes) add(now time.Time, why string) {
	if c.over(now) {
		*c = crashes{Since: now}
	}
	c.Count, c.Last, c.Why = c.Count+1, now, why
}

// over reports whether the last one was too long ago to be shown.
func (c crashes) over(now time.Time) bool {
	return c.Count == 0 || now.Sub(c.Last) > control.CrashesLast
}

func (p *pool) crashes(now time.Time) *control.Crashes {
	var all control.Crashes
	for _, s := range p.slots {
		c := s.crashes
		if c.over(now) {
			continue
		}
		if all.Count == 0 || c.Since.Before(all.Since) {
			all.Since = c.Since
		}
		if c.Last.After(all.Last) {
			all.Last, all.Worker, all.Cause = c.Last, s.id(), c.Why
		}
		all.Count += c.Count
	}
	if all.Count == 0 {
		return nil
	}
	return &all
}
