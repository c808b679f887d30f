package primary

import (
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// scale is a starter that knows how much memory processes have.
type scale interface {
	Memory(families []proc.Family) ([]int64, error)
}

// weighing is about the memory of workers whose pool limits it. It is measured
// beside the loop, for the kernel may take a while.
type weighing struct {
	busy    bool
	due     time.Time
	trouble string // that was told
}

// Memory is measured so often that a worker has been found heavy several times when
// it is replaced, and so seldom that it is little work.
const (
	weighSeldom  = 5 * time.Second
	weighTimes   = 6
	weighPortion = 20 // one part of so many of the time goes into it at most
)

// weigh measures the workers of all pools that have a limit.
func (l *loop) weigh(now time.Time) {
	sc, ok := l.cfg.Starter.(scale)
	if !ok || l.weighing.busy || now.Before(l.weighing.due) {
		return
	}
	every := weighSeldom
	var runs []*process
	var families []proc.Family
	for _, p := range l.pools {
		if p.spec.MaxMemory == 0 || p.adoption != nil {
			continue
		}
		every = min(every, p.spec.MaxMemoryFor/weighTimes)
		for _, s := range p.slots {
			if r := s.processes[s.cur.inc]; s.cur.serves() && r != nil && r.handle != nil {
				runs = append(runs, r)
				families = append(families, proc.Family{Root: idOf(r.handle), Known: r.descendants, Group: r.group, Limit: p.spec.MaxMemory})
			}
		}
	}
	if len(runs) == 0 {
		return
	}
	l.weighing.busy = true
	post := l.post
	l.spawn.wg.Go(func() {
		sums, err := sc.Memory(families)
		due := now.Add(max(every, tickEvery, weighPortion*time.Since(now)))
		post(func(l *loop) {
			l.weighing.busy, l.weighing.due = false, due
			for i, n := range sums {
				runs[i].weighed(n, families[i].Limit, now)
			}
			l.notWeighed(err)
		})
	})
}

// weighed takes in what a process had at a time.
func (r *process) weighed(n, limit int64, at time.Time) {
	switch r.memory = n; {
	case n <= limit:
		r.heavy, r.light = time.Time{}, true
	case r.heavy.IsZero():
		r.heavy = at
	}
}

// notWeighed tells of an error, once.
func (l *loop) notWeighed(err error) {
	text := ""
	if err != nil {
		text = "max_memory: " + err.Error()
	}
	if text != "" && text != l.weighing.trouble {
		l.tell(control.Event{Kind: control.EventClusterTrouble, Text: text})
	}
	l.weighing.trouble = text
}
