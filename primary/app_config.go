package primary

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/difference"
	"github.com/norestart/norestart/internal/ipc"
)

// applyTimeout is how long a worker may take to check a configuration, or to go on
// with it.
const applyTimeout = 30 * time.Second

// appJob lets the workers of the application go on with another configuration: all
// of them, or none.
//
//	checking ──► applying ──► ok
//	    │            └─ fails ──► undoing ──► failed
//	    └─ fails ──► failed
//
// The workers that are ready are asked, and wait for. All others are told: at
// their start, at their hello, or by a message if they have said hello and are not
// ready. From the record a next primary learns of it only when all have applied it:
// until then workers are told by their next hello to go back.
type appJob struct {
	from, to []byte
	phase    appPhase
	round    *appRound
	cause    string // why it failed
}

type appPhase int

const (
	appChecking appPhase = iota
	appApplying
	appUndoing
	appDone
)

// appRound is one question to all workers that are ready.
type appRound struct {
	over   bool
	failed []control.CallReply
	cancel context.CancelFunc
}

// appConfig is the configuration that holds at the start: the one that living
// workers have, or what the file says.
func (p *Primary) appConfig(r *record, bootID string) ([]byte, error) {
	if p.cfg.ReadApp == nil {
		return nil, nil
	}
	if r != nil && !r.Stopped && r.BootID == bootID && r.App != nil {
		return r.App, nil
	}
	app, err := p.app.now(context.Background()) // which has a deadline
	if err != nil {
		return nil, err
	}
	return *app, nil
}

// lastingApp is the configuration that a next primary begins with.
func (l *loop) lastingApp() []byte {
	for _, j := range l.running() {
		if w, ok := j.work.(*appJob); ok && w.phase != appDone {
			return w.from
		}
	}
	return l.app
}

func (l *loop) appChanges(to []byte) []control.PoolChanges {
	changes := difference.Told(l.app, to)
	if len(changes) == 0 {
		return []control.PoolChanges{}
	}
	for i := range changes {
		changes[i].Follows = control.FollowsLive
	}
	return []control.PoolChanges{{Follows: control.FollowsLive, Changes: changes}}
}

// reconfigureApp begins to take in a configuration of the application.
func (l *loop) reconfigureApp(to []byte, owner string) (*job, error) {
	pools, err := l.reloadable(nil)
	if err != nil {
		return nil, err
	}
	w := &appJob{from: l.app, to: to}
	j, err := l.begin(kindConfig, "", owner, pools, w)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(w.from, to) {
		w.round = &appRound{over: true}
	} else {
		w.ask(l, control.HandlerConfigCheck, to)
	}
	return j, nil
}

// ask asks all ready workers beside the loop. A pool that has none is told by what
// its workers begin with.
func (w *appJob) ask(l *loop, handler string, data []byte) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &appRound{cancel: cancel}
	w.round = r
	pools, _ := l.reloadable(nil) // it fails for names alone
	var names []string
	for _, p := range pools {
		names = append(names, p.spec.Name)
	}
	call, post := l.call, l.post
	l.spawn.wg.Go(func() {
		defer cancel()
		var failed []control.CallReply
		for _, pool := range names {
			err := call(ctx, control.CallRequest{Pool: pool, Handler: handler, Args: []string{string(data)}, Timeout: applyTimeout}, func(a control.CallReply) error {
				if a.Error != "" {
					failed = append(failed, a)
				}
				return nil
			})
			if err != nil && ctx.Err() == nil && !errors.Is(err, control.ErrUnavailable) {
				failed = append(failed, control.CallReply{Worker: pool, Error: err.Error()})
			}
		}
		post(func(*loop) { r.over, r.failed = true, failed })
	})
}

func (w *appJob) advance(l *loop, j *job) {
	if j.cancelled && !w.round.over && w.phase != appUndoing {
		w.round.cancel()
	}
	if !w.round.over {
		return
	}
	failed := w.tell(j)
	if j.cancelled {
		failed = cmp.Or(failed, "cancelled")
	}
	switch {
	case w.phase == appUndoing && failed != "":
		w.undone(l, j, "; everything is as it was, but "+failed)
	case w.phase == appUndoing:
		w.undone(l, j, "; everything is as it was")
	case failed != "" && w.phase == appChecking:
		w.cause = failed
		w.undone(l, j, "; nothing was changed")
	case failed != "":
		w.cause, w.phase, j.cancelled = failed, appUndoing, false
		j.note("%s: everything goes back", failed)
		w.spread(l, w.from)
	case w.phase == appChecking && !bytes.Equal(w.from, w.to):
		w.phase = appApplying
		w.spread(l, w.to)
	default:
		w.commit(l, j)
	}
}

// tell adds a line to the job for each worker that failed, and returns the first
// one; empty: none did.
func (w *appJob) tell(j *job) string {
	all := w.round.failed
	w.round.failed = nil
	slices.SortFunc(all, func(a, b control.CallReply) int { return strings.Compare(a.Worker, b.Worker) })
	var first string
	for _, a := range all {
		e := control.JobEvent{Event: control.StepFailed, Worker: a.Worker, Error: a.Error, Text: a.Worker + ": " + a.Error}
		j.step(e)
		first = cmp.Or(first, e.Text)
	}
	if more := len(all) - 1; more > 0 {
		first += fmt.Sprintf("; %d more failed", more)
	}
	return first
}

// spread tells a configuration to all workers, those to come included.
func (w *appJob) spread(l *loop, data []byte) {
	l.app = data
	for _, s := range l.slots() {
		for _, r := range s.processes {
			if l.configures(s) && r.conv != nil && r != s.answering() {
				r.conv.send(ipc.TypeConfig, ipc.Config{Data: data})
			}
		}
	}
	w.ask(l, control.HandlerConfigApply, data)
}

// configures reports whether the workers of a slot are told the configuration.
func (l *loop) configures(s *slot) bool {
	return l.app != nil && !s.pool.spec.BuiltIn && s.pool.spec.Program == nil
}

// tellConfig tells a worker that says hello what holds, if it has something else.
func (l *loop) tellConfig(s *slot, r *process, h ipc.Hello) {
	if l.configures(s) && !h.Draining && h.Config != ipc.ConfigDigest(l.app) {
		r.conv.send(ipc.TypeConfig, ipc.Config{Data: l.app})
	}
}

func (w *appJob) commit(l *loop, j *job) {
	w.phase = appDone
	changes := difference.Told(w.from, w.to)
	if len(changes) == 0 {
		j.note("the configuration says what runs already")
	} else {
		var keys []string
		for _, c := range changes {
			keys = append(keys, c.Key)
		}
		j.summary = append(j.summary, control.JobEvent{Event: control.StepSummary, OK: true, Text: strings.Join(keys, ", ") + " changed, in all workers"})
	}
	l.persist(true) // before anybody learns of it
	l.finish(j, control.JobOK, "")
}

// undone ends a job that has failed.
func (w *appJob) undone(l *loop, j *job, what string) {
	w.phase = appDone
	state := control.JobFailed
	if w.cause == "cancelled" {
		state = control.JobCancelled
	}
	l.finish(j, state, w.cause+what)
}
