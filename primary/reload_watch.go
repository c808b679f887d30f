package primary

import (
	"fmt"
	"math"
	"time"
)

// setWatch is how long a reload watches, and how many crashes it allows.
func (c *poolReload) setWatch() {
	c.Watch = c.request.Watch
	if c.Watch == 0 {
		c.Watch = c.pool.spec.Watch
	}
	c.Watch = max(c.Watch, 0)
	c.Allowed = c.pool.crashesWithin(c.Watch)
}

// crashesWithin is how many crashes the pool had in the last d, as far as counts
// since their first one tell.
func (p *pool) crashesWithin(d time.Duration) (n int) {
	now := time.Now()
	for _, s := range p.slots {
		if c := s.crashes; c.Count > 0 && now.Sub(c.Last) <= d {
			n += int(math.Ceil(float64(c.Count) * min(1, float64(d)/float64(now.Sub(c.Since)))))
		}
	}
	return n
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
