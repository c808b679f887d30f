package control

import "time"

// EventQuery selects events.
type EventQuery struct {
	Lines  int // at most so many of the kept ones; 0: 100, -1: none
	Follow bool
	After  Cursor
}

// Event is something that happened in the cluster.
type Event struct {
	Cursor
	Time    time.Time `json:"time"`
	Kind    EventKind `json:"kind"`
	Worker  string    `json:"worker,omitempty"`
	PID     int       `json:"pid,omitempty"`
	Job     string    `json:"job,omitempty"`
	User    string    `json:"user,omitempty"` // who asked for it
	Text    string    `json:"text"`
	Skipped int       `json:"skipped,omitempty"`
}

// EventKind is what an event tells. The names never change their meaning.
type EventKind string

// The kinds of events.
const (
	EventClusterReady    EventKind = "cluster.ready"   // every pool is as it was asked to be, for the first time
	EventClusterTrouble  EventKind = "cluster.trouble" // something outside of the workers, such as the disk
	EventClusterMended   EventKind = "cluster.mended"  // that has passed
	EventPrimaryExec     EventKind = "primary.exec"    // the primary replaces its own code
	EventSignalRefused   EventKind = "signal.refused"  // what a signal to the primary asked for cannot be done
	EventPoolAdopting    EventKind = "pool.adopting"   // workers of an earlier primary are taken over
	EventPoolDismissed   EventKind = "pool.dismissed"  // the new code has no such pool
	EventPoolTrouble     EventKind = "pool.trouble"
	EventPoolSkipped     EventKind = "pool.skipped" // its time has come, and something was in the way
	EventPoolMissed      EventKind = "pool.missed"  // its time has passed without a primary, or by a jump of the clock
	EventWorkerStarted   EventKind = "worker.started"
	EventWorkerAdopted   EventKind = "worker.adopted" // taken over from an earlier primary
	EventWorkerReady     EventKind = "worker.ready"
	EventWorkerMain      EventKind = "worker.main"      // another of its processes is the main one
	EventWorkerReloading EventKind = "worker.reloading" // it takes in its configuration anew, or has done so
	EventWorkerSilent    EventKind = "worker.silent"    // it has missed beats
	EventWorkerSignalled EventKind = "worker.signalled"
	EventWorkerLimit     EventKind = "worker.limit"  // it has reached one of its pool, and is replaced
	EventWorkerKilled    EventKind = "worker.killed" // it had not ended in time
	EventWorkerExited    EventKind = "worker.exited"
	EventWorkerDead      EventKind = "worker.dead"      // its slot is given up
	EventWorkerUnhealthy EventKind = "worker.unhealthy" // its probe has failed too often
	EventWorkerHealthy   EventKind = "worker.healthy"   // it passes again
	EventWorkerImpostor  EventKind = "worker.impostor"  // another process has shown its secret
	EventWorkerTrouble   EventKind = "worker.trouble"
	EventJobStarted      EventKind = "job.started"
	EventJobCancelled    EventKind = "job.cancelled" // an operator has cancelled it: it ends soon
	EventJobEnded        EventKind = "job.ended"
	EventJobResumed      EventKind = "job.resumed" // it goes on under another primary
	EventJobLost         EventKind = "job.lost"    // it cannot
)

// EventKinds are all kinds of events.
func EventKinds() []EventKind {
	return []EventKind{
		EventClusterReady, EventClusterTrouble, EventClusterMended, EventPrimaryExec,
		EventSignalRefused, EventPoolAdopting, EventPoolDismissed, EventPoolTrouble,
		EventPoolSkipped, EventPoolMissed,
		EventWorkerStarted, EventWorkerAdopted, EventWorkerReady, EventWorkerReloading, EventWorkerMain, EventWorkerSilent,
		EventWorkerSignalled, EventWorkerLimit, EventWorkerKilled, EventWorkerExited, EventWorkerDead,
		EventWorkerUnhealthy, EventWorkerHealthy, EventWorkerImpostor, EventWorkerTrouble, EventJobStarted, EventJobCancelled,
		EventJobEnded, EventJobResumed, EventJobLost,
	}
}
