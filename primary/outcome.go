package primary

import (
	"fmt"
	"slices"
	"strings"

	"github.com/norestart/norestart/control"
)

// end ends the job of a cycle that failed or was cancelled, and says what runs.
func (c *cycle) end(l *loop, j *job) {
	if g := c.to; g != nil {
		g.burned = c.cause != ""
	}
	if c.back {
		c.pool.dropFormer()
	}
	what := c.unchanged(j)
	if c.counted > 0 {
		what = c.mix()
	}
	if c.cause == "" {
		l.finish(j, control.JobCancelled, "cancelled: "+what)
		return
	}
	l.finish(j, control.JobFailed, fmt.Sprintf("%s; %s", c.cause, what))
}

// unchanged says that no worker of the pool was touched.
func (c *cycle) unchanged(j *job) string {
	if len(j.Pools) > 1 {
		return "nothing of " + c.pool.spec.Name + " was changed"
	}
	return "nothing was changed"
}

// mix tells which slots run which generation.
func (c *cycle) mix() string {
	byGen := make(map[int][]*seat)
	var order []int
	for _, s := range c.pool.seats {
		if !s.cur.some() {
			continue
		}
		if byGen[s.cur.gen] == nil {
			order = append(order, s.cur.gen)
		}
		byGen[s.cur.gen] = append(byGen[s.cur.gen], s)
	}
	slices.Sort(order)
	var parts []string
	for _, g := range order {
		parts = append(parts, fmt.Sprintf("%s run generation %d", ids(byGen[g]), g))
	}
	if len(parts) == 0 {
		return "no worker runs"
	}
	return strings.Join(parts, ", ")
}

func ids(seats []*seat) string {
	var names []string
	for _, s := range seats {
		names = append(names, s.id())
	}
	return strings.Join(names, ", ")
}
