package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

const (
	// maxNotes keeps the status on one screen.
	maxNotes = 8
	maxNote  = 120 // columns of a line that a worker wrote
	// slowStart is how long a worker may take to become ready before a word
	// about it helps.
	slowStart = 5 * time.Second
	// recently is how old an event may be that is worth a line of the status.
	recently   = 10 * time.Minute
	lastEvents = 200
	// shutOutWithin is how long the admin port may take to say whom it refuses.
	shutOutWithin = time.Second
)

// findings is what the status says beside numbers: what is not as it should
// be, and for each worker that is meant what to type next.
type findings struct {
	trouble []string
	notes   []note
}

// note is one thing that is worth a line, and the line that a worker wrote
// about it.
type note struct{ text, quote string }

// tells reports whether there is a note about the worker that a failure begins
// with: it says the same, and what to do.
func (f findings) tells(failure string) bool {
	id, _, _ := strings.Cut(failure, " ")
	return slices.ContainsFunc(f.notes, func(n note) bool { return strings.HasPrefix(n.text, id+" ") })
}

// look asks for the workers and the last events, for a person wants to know
// why. Programs have the commands that show those.
func (c *Call) look(ctx context.Context, s control.Status, now time.Time) (findings, error) {
	workers, err := answer(ctx, c.Primary.Workers)
	if err != nil {
		return findings{}, err
	}
	done := map[string]int{}
	var f findings
	more := 0
	for _, w := range workers {
		if w.State == control.Done {
			done[w.Pool]++
		}
		text := workerNote(w, now)
		switch {
		case text == "":
		case len(f.notes) < maxNotes:
			f.notes = append(f.notes, note{text, c.lastLine(ctx, w)})
		default:
			more++
		}
	}
	if more > 0 {
		f.notes = append(f.notes, note{text: fmt.Sprintf("and %d more: worker list", more)})
	}
	f.trouble = trouble(s, done)
	f.notes = append(f.notes, c.shutOut(ctx, s, now)...)
	f.notes = append(f.notes, c.lately(ctx, now)...)
	return f, nil
}

// shutOut tells who may do something about it which sources are refused at the
// admin port. A port that does not answer soon is no reason to wait.
func (c *Call) shutOut(ctx context.Context, s control.Status, now time.Time) []note {
	if !c.Role.may(Admin) || s.Admin == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shutOutWithin)
	defer cancel()
	blocked, err := c.blocked(ctx)
	if err != nil || len(blocked) == 0 {
		return nil
	}
	if len(blocked) > 1 {
		return []note{{text: fmt.Sprintf("%d sources may not connect to the admin port. next: session blocked", len(blocked))}}
	}
	b := blocked[0]
	return []note{{text: fmt.Sprintf("%s may not connect to the admin port for %s: %s. next: session unblock %s", b.Source, age(b.Until.Sub(now)), b.why(), b.Source)}}
}

// workerNote says what is the matter with a worker; empty: nothing.
func workerNote(w control.WorkerInfo, now time.Time) string {
	switch {
	case w.State == control.Dead:
		return fmt.Sprintf("%s is dead%s. next: log --worker %s, then worker revive %s", w.ID, lastEnd(w, now), w.ID, w.ID)
	case w.State == control.Backoff:
		return fmt.Sprintf("%s ends again and again, restarts: %d%s. next: %s", w.ID, w.Restarts, lastEnd(w, now), nextStart(w))
	case w.State == control.Stopped:
		return fmt.Sprintf("%s is stopped by wish. next: worker revive %s", w.ID, w.ID)
	case w.Silent:
		return fmt.Sprintf("%s, pid %d, does not answer. next: it is replaced by itself, or worker restart %s", w.ID, w.PID, w.ID)
	case w.State == control.Starting && w.Up > slowStart:
		return fmt.Sprintf("%s has been starting for %s and is not ready. next: log --worker %s", w.ID, age(w.Up), w.ID)
	case w.State == control.Draining:
		return fmt.Sprintf("%s, pid %d, finishes what it has accepted", w.ID, w.PID)
	case len(w.Outgoing) > 0 && !w.BuiltIn:
		return fmt.Sprintf("%s: the old process, pid %d, generation %d, finishes what it has accepted%s. next: worker info %s", w.ID, w.Outgoing[0].PID, w.Outgoing[0].Generation, atMost(w.Outgoing[0], now), w.ID)
	}
	return ""
}

// atMost is how long a process that drains may still take.
func atMost(p control.Process, now time.Time) string {
	if p.Cut.IsZero() {
		return ""
	}
	return fmt.Sprintf(", for %s at most", age(max(0, p.Cut.Sub(now))))
}

// lastEnd is how a worker's last process ended.
func lastEnd(w control.WorkerInfo, now time.Time) string {
	e := w.LastExit
	if e == nil {
		return ""
	}
	text := fmt.Sprintf(": %s after %s, %s ago", describeExit(*e), age(e.Uptime), age(now.Sub(e.Time)))
	return text
}

// lastLine is what a worker that ended wrote last: more often than not, why. It
// is the only thing that is asked for each worker, so for those alone.
func (c *Call) lastLine(ctx context.Context, w control.WorkerInfo) string {
	if w.State != control.Dead && w.State != control.Backoff {
		return ""
	}
	detail, err := c.worker(ctx, w.ID)
	if err != nil || len(detail.Lines) == 0 { // the note stands without it
		return ""
	}
	return clip(detail.Lines[len(detail.Lines)-1], maxNote)
}

// lately tells of the newest events that are worth a line: a trouble of the cluster
// as a whole, such as a full disk, and a job that failed, unless they are over.
// Without an answer there are none: the status is what was asked for.
func (c *Call) lately(ctx context.Context, now time.Time) []note {
	var trouble, failed control.Event
	_, err := answer(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.Primary.Events(ctx, control.EventQuery{Lines: lastEvents}, func(e control.Event) error {
			switch e.Kind {
			case "cluster.trouble", "pool.trouble":
				trouble = e
			case "cluster.mended":
				trouble = control.Event{}
			case "job.ended":
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

// nextStart is what to do about a worker that cannot be started, or ends again
// and again.
func nextStart(w control.WorkerInfo) string {
	if w.LastExit != nil {
		if what := shortOf(w.LastExit.Reason); what != "" {
			return what
		}
	}
	return "log --worker " + w.ID
}

// cure is what to do about a trouble of the cluster.
func cure(text string) string { return cmp.Or(shortOf(text), "events") }

// shortOf is what to do where the machine has no more of something (errno(3));
// empty: that is not the trouble.
func shortOf(text string) string {
	for _, lack := range []struct{ says, next string }{
		{"no space left", "make room where the state directory is"},
		{"resource temporarily unavailable", "end processes of this user, or let it have more (ulimit -u, pids.max of its cgroup)"},
		{"too many open files", "let the primary have more descriptors (prlimit --nofile, LimitNOFILE)"},
		{"cannot allocate memory", "free memory, or let the cluster have more (ulimit -v, memory.max of its cgroup)"},
	} {
		if strings.Contains(text, lack.says) {
			return lack.next
		}
	}
	return ""
}
