package main

import (
	"math"
	"slices"
	"time"
)

// event is what the driver does to the cluster.
type event string

const (
	reload       event = "reload"
	execs        event = "exec"
	kill         event = "kill"
	killInReload event = "kill in a reload"
	killWorker   event = "worker kill"
)

// schedule spreads the events over the run. The first reload is not among them: a
// message asks for it.
func (o options) schedule() []event {
	reloads := max(0, o.reloads-1)
	within := min(o.kills/2, reloads)
	type placed struct {
		event
		at float64
	}
	var all []placed
	for e, n := range map[event]int{
		reload: reloads - within, execs: o.execs, kill: o.kills - within, killInReload: within, killWorker: o.workerKills,
	} {
		for i := range n {
			all = append(all, placed{e, (float64(i) + 0.5) / float64(n)})
		}
	}
	slices.SortFunc(all, func(a, b placed) int {
		if a.at != b.at {
			return int(math.Copysign(1, a.at-b.at))
		}
		if a.event < b.event {
			return -1
		}
		return 1
	})
	var events []event
	for _, p := range all {
		events = append(events, p.event)
	}
	return events
}

// pace is how many rallies of a slot may have begun after a time in a step from one
// limit to the next: it slows down, so that messages are on their way however long
// the event of the step takes. usual is how long an event has taken.
func pace(from, to int, after, usual time.Duration) int {
	return from + int(float64(to-from)*(1-math.Exp(-float64(after)/float64(usual))))
}
