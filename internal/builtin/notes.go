package builtin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

const (
	// maxNotes keeps the status on one screen.
	maxNotes = 8
	// slowStart is how long a worker may start before status mentions it.
	slowStart = 5 * time.Second
	// recently bounds the age of events that status mentions.
	recently   = 10 * time.Minute
	lastEvents = 200
	// shutOutWithin bounds the wait for the admin port.
	shutOutWithin = time.Second
)

// note is a line of the status: what is wrong, and what to type next.
type note struct {
	text    string
	workers []control.WorkerInfo // that failed
}

// tells reports whether there is a note about the worker that a failure begins
// with.
func tells(notes []note, failure string) bool {
	id, _, _ := strings.Cut(failure, " ")
	return slices.ContainsFunc(notes, func(n note) bool {
		return slices.ContainsFunc(n.workers, func(w control.WorkerInfo) bool { return w.ID == id })
	})
}

// look asks for the workers and the last events, for people; programs have
// commands for those.
func (c *Call) look(ctx context.Context, s control.Status, now time.Time) ([]note, error) {
	workers, err := get(ctx, c.Primary, control.WorkersQuery{})
	if err != nil {
		return nil, err
	}
	var notes []note
	more := 0
	for _, group := range alike(workers) {
		text := workerNote(group, poolOf(s, group[0]), now)
		switch {
		case text == "":
		case len(notes) >= maxNotes:
			more++
		case failing(group[0]):
			notes = append(notes, note{text, group})
		default:
			notes = append(notes, note{text: text})
		}
	}
	if more > 0 {
		notes = append(notes, note{text: fmt.Sprintf("and %d more: worker list", more)})
	}
	notes = append(notes, crashNotes(s, notes, now)...)
	notes = append(notes, c.shutOut(ctx, s, now)...)
	return append(notes, c.lately(ctx, now)...), nil
}

// alike groups workers of a pool that ended for the same reason; any other worker is
// a group of its own.
func alike(workers []control.WorkerInfo) [][]control.WorkerInfo {
	var groups [][]control.WorkerInfo
	places := map[string]int{}
	for _, w := range workers {
		reason := w.ID
		if e := w.LastExit; e != nil && failing(w) {
			reason = fmt.Sprintf("%s %s: %s", w.Pool, w.State, strings.ReplaceAll(cmp.Or(e.Cause, describeExit(*e)), w.ID, ""))
		}
		i, ok := places[reason]
		if !ok {
			i = len(groups)
			places[reason] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], w)
	}
	return groups
}

func failing(w control.WorkerInfo) bool {
	return w.State == control.Dead || w.State == control.Backoff
}

// crashNotes tell of workers that crashed and were replaced, unless another note
// tells of them.
func crashNotes(s control.Status, told []note, now time.Time) []note {
	var notes []note
	for _, p := range s.Pools {
		switch crash := p.Crashes; {
		case crash == nil || tells(told, crash.Worker):
		case p.CrashesAgain(): // the first line has the rest
			notes = append(notes, note{text: fmt.Sprintf("%s crashed last. next: %s", crash.Worker, lookOrGoBack(crash.Worker, p))})
		default:
			notes = append(notes, note{text: fmt.Sprintf("%s crashed %s ago%s. next: log --worker %s", crash.Worker, age(now.Sub(crash.Last)), because(crash.Cause), crash.Worker)})
		}
	}
	return notes
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return ": " + cause
}

// shutOut tells an admin which sources the admin port refuses. If it does not
// answer soon, status does not wait.
func (c *Call) shutOut(ctx context.Context, s control.Status, now time.Time) []note {
	if c.Role < commands.Admin || s.Admin == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shutOutWithin)
	defer cancel()
	blocked, err := blockedSources(ctx, c.Primary)
	if err != nil || len(blocked) == 0 {
		return nil
	}
	if len(blocked) > 1 {
		return []note{{text: fmt.Sprintf("%d sources may not connect to the admin port. next: session blocked", len(blocked))}}
	}
	b := blocked[0]
	return []note{{text: fmt.Sprintf("%s may not connect to the admin port for %s: %s. next: session unblock %s", b.Source, age(b.Until.Sub(now)), whyBlocked(b), b.Source)}}
}

func poolOf(s control.Status, w control.WorkerInfo) control.PoolStatus {
	for _, p := range s.Pools {
		if p.Name == w.Pool {
			return p
		}
	}
	return control.PoolStatus{}
}

// workerNote says what is wrong with the workers of a group; empty: nothing.
func workerNote(group []control.WorkerInfo, p control.PoolStatus, now time.Time) string {
	w, are, end := group[0], "is", "ends"
	subject, revive := w.ID, "worker revive "+w.ID
	if len(group) > 1 {
		subject, are, end, revive = fmt.Sprintf("%d workers of %s", len(group), w.Pool), "are", "end", "worker revive"
	}
	switch {
	case w.State == control.Dead && fails(p):
		return fmt.Sprintf("%s %s dead%s. next: rollback %s, or log --worker %s", subject, are, lastEnd(group, now), p.Name, w.ID)
	case w.State == control.Dead:
		return fmt.Sprintf("%s %s dead%s. next: log --worker %s, then %s", subject, are, lastEnd(group, now), w.ID, revive)
	case w.State == control.Backoff:
		return fmt.Sprintf("%s %s again and again, restarts: %d%s. next: %s", subject, end, restarts(group), lastEnd(group, now), nextStart(w, p))
	case w.State == control.Stopped:
		return fmt.Sprintf("%s was stopped by an operator. next: worker revive %s", w.ID, w.ID)
	case w.Silent:
		return fmt.Sprintf("%s, pid %d, does not answer. next: wait until it is replaced, or worker restart %s", w.ID, w.PID, w.ID)
	case w.Health == control.Unhealthy:
		return fmt.Sprintf("%s, pid %d, is unhealthy: %s. next: wait until it is replaced, or log --worker %s", w.ID, w.PID, w.Failure, w.ID)
	case w.State == control.Starting && w.Up > slowStart && w.Failure != "":
		return fmt.Sprintf("%s has been starting for %s and is not ready: %s. next: log --worker %s", w.ID, age(w.Up), w.Failure, w.ID)
	case w.State == control.Starting && w.Up > slowStart:
		return fmt.Sprintf("%s has been starting for %s and is not ready. next: log --worker %s", w.ID, age(w.Up), w.ID)
	case w.State == control.Draining:
		return fmt.Sprintf("%s, pid %d, finishes what it has accepted", w.ID, w.PID)
	case len(w.Outgoing) > 0 && !w.BuiltIn:
		return fmt.Sprintf("%s: the old process, pid %d, generation %d, finishes what it has accepted%s. next: worker info %s", w.ID, w.Outgoing[0].PID, w.Outgoing[0].Generation, atMost(w.Outgoing[0], now), w.ID)
	}
	return ""
}

// atMost is the rest of the time of a process that drains.
func atMost(p control.Process, now time.Time) string {
	if p.Cut.IsZero() {
		return ""
	}
	return fmt.Sprintf(", for %s at most", age(max(0, p.Cut.Sub(now))))
}

// lastEnd is how the last process of workers ended, and why.
func lastEnd(group []control.WorkerInfo, now time.Time) string {
	var last *control.Exit
	for _, w := range group {
		if e := w.LastExit; e != nil && (last == nil || e.Time.After(last.Time)) {
			last = e
		}
	}
	if last == nil {
		return ""
	}
	return fmt.Sprintf(": %s after %s, %s ago%s", describeExit(*last), age(last.Uptime), age(now.Sub(last.Time)), because(last.Cause))
}

func restarts(group []control.WorkerInfo) (n int) {
	for _, w := range group {
		n += w.Restarts
	}
	return n
}

// lately tells of the newest events worth a line: a trouble of the cluster as a
// whole, such as a full disk, and a failed job, unless they are over. Without an
// answer there are none: status shows the rest.
func (c *Call) lately(ctx context.Context, now time.Time) []note {
	var trouble, failed control.Event
	_, err := answer(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, control.Watch(ctx, c.Primary, control.EventQuery{Lines: lastEvents}, func(e control.Event) error {
			switch e.Kind {
			case control.EventClusterTrouble, control.EventPoolTrouble:
				trouble = e
			case control.EventClusterMended:
				trouble = control.Event{}
			case control.EventJobEnded:
				if failed = (control.Event{}); strings.Contains(e.Text, ": failed: ") {
					failed = e
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil
	}
	var notes []note
	if failed.Job != "" && now.Sub(failed.Time) <= recently {
		notes = append(notes, note{text: fmt.Sprintf("%s ago: %s. next: job follow %s", age(now.Sub(failed.Time)), failed.Text, failed.Job)})
	}
	if !trouble.Time.IsZero() && now.Sub(trouble.Time) <= recently {
		notes = append(notes, note{text: fmt.Sprintf("%s ago: %s. next: %s", age(now.Sub(trouble.Time)), trouble.Text, cure(trouble.Text))})
	}
	return notes
}

// nextStart is the advice for a worker that cannot be started, or ends again and
// again.
func nextStart(w control.WorkerInfo, p control.PoolStatus) string {
	if w.LastExit != nil {
		if what := shortOf(w.LastExit.Reason); what != "" {
			return what
		}
	}
	return lookOrGoBack(w.ID, p)
}

// lookOrGoBack is the advice for a worker that crashes: its log, or a rollback if
// an earlier generation was good and no other line says so.
func lookOrGoBack(id string, p control.PoolStatus) string {
	next := "log --worker " + id
	if p.Back != 0 && p.Failing == nil {
		next += fmt.Sprintf(", or rollback %s, to generation %d", p.Name, p.Back)
	}
	return next
}

func cure(text string) string { return cmp.Or(shortOf(text), "events") }

// shortOf is the advice if the machine has run out of something (errno(3));
// empty: it has not.
func shortOf(text string) string {
	for _, lack := range []struct{ says, next string }{
		{"no space left", "make room where the state directory is"},
		{"resource temporarily unavailable", "end processes of this user, or raise its limit (ulimit -u, pids.max of its cgroup)"},
		{"too many open files", "raise the primary's limit of descriptors (prlimit --nofile, LimitNOFILE)"},
		{"cannot allocate memory", "free memory, or raise the cluster's limit (ulimit -v, memory.max of its cgroup)"},
	} {
		if strings.Contains(text, lack.says) {
			return lack.next
		}
	}
	return ""
}
