package control

import (
	"strings"
	"time"
)

// Job is long work that the primary does on request. It goes on when its
// caller has gone.
type Job struct {
	ID    string    `json:"id"`
	Kind  string    `json:"kind"` // reload, restart, scale, stop, revive, …
	What  string    `json:"what"` // "web", "web to 8"
	Pools []string  `json:"pools"`
	Owner string    `json:"owner"` // who asked
	Since time.Time `json:"since"`
	Ended time.Time `json:"ended,omitzero"` // zero while it runs
	State JobState  `json:"state"`
	Done  int       `json:"done"`  // workers done
	Total int       `json:"total"` // workers to do
	Error string    `json:"error,omitempty"`
}

// JobState is where a job stands.
type JobState string

// The states of a job.
const (
	JobRunning   JobState = "running"
	JobOK        JobState = "ok"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// JobStates are those of jobs that have ended.
func JobStates() []JobState { return []JobState{JobOK, JobFailed, JobCancelled} }

// JobKinds are all kinds of jobs.
func JobKinds() []string {
	return []string{"reload", "config reload", "restart", "rollback", "scale", "revive", "stop", "worker restart", "worker stop"}
}

// End names how the job ended, as hooks are told of it: "reload.failed",
// "worker-restart.ok".
func (j Job) End() string { return strings.ReplaceAll(j.Kind, " ", "-") + "." + string(j.State) }

// Drained is what became of the connections of workers that a job ended. Each
// is in one of the numbers.
type Drained struct {
	Pool     string `json:"pool"`
	Moved    int    `json:"moved"`    // go on in another worker
	Finished int    `json:"finished"` // served to their end
	Told     int    `json:"told"`     // idle or taken over by a handler, told to go
	Cut      int    `json:"cut"`      // at the deadline
}

// JobEvent is one step of a job.
type JobEvent struct {
	Seq        int    `json:"-" cbor:"seq"`
	Event      Step   `json:"event"`
	Worker     string `json:"worker,omitempty"`
	PID        int    `json:"pid,omitempty"`
	Generation int    `json:"generation,omitempty"`
	From       int    `json:"from,omitempty"` // the generation before, in the event summary
	OK         bool   `json:"ok"`
	Error      string `json:"error,omitempty"`
	// Text is the event in one line for a person: "worker web/0 replaced: pid
	// 4801, generation 2 (1/4)".
	Text string `json:"-" cbor:"text"`
	Job  *Job   `json:"-" cbor:"job,omitempty"` // of the step accepted
	// Drained is of the event drained: one for each pool at the end of the job.
	*Drained
	// Lines are the last lines of a worker, or an errand, that failed.
	Lines []string `json:"lines,omitempty"`
	// Output is a line of an errand.
	Output string `json:"output,omitempty"`
}

// Step is what an event of a job tells. The names never change their meaning.
type Step string

// The steps of jobs.
const (
	StepAccepted   Step = "accepted"    // the job has begun: the answer to the request for it
	StepReady      Step = "ready"       // a slot has the worker that was asked for
	StepReplaced   Step = "replaced"    // a slot has a new process, and the one before takes no more work
	StepFailed     Step = "failed"      // a worker did not become ready, or crashed too often
	StepRolledBack Step = "rolled_back" // a slot is back at the generation before
	StepStopped    Step = "stopped"     // a slot has no process any more
	StepCut        Step = "cut"         // the same, or an old process ended, by a signal
	StepDrained    Step = "drained"     // what became of a pool's connections
	StepNext       Step = "next"        // the worker that asked for this is replaced next
	StepNote       Step = "note"        // an explanation
	StepOutput     Step = "output"      // a line of an update or a check, see [Program]
	StepSummary    Step = "summary"     // what has been done to a pool
	StepDone       Step = "done"        // the job has ended: only in what commands print
)
