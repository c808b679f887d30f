package primary

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// errands are the programs that run before a job replaces workers: first the
// updates that were asked for, then the check of each pool. The zero value has
// only checks.
type errands struct {
	todo    []*errand
	now     *errand // nil: none has begun
	updates bool    // generations are made when they are over
	checks  bool    // they are in todo, or were
	over    bool
	read    *reading // what the configuration says after the updates; nil: they run
}

// reading is what is being read beside the loop.
type reading struct {
	done bool
	now  *Configuration
	err  error
}

func (l *loop) readAnew() *reading {
	r, post, file := &reading{}, l.post, l.file
	go func() {
		now, err := file.now(context.Background())
		post(func(*loop) { r.done, r.now, r.err = true, now, err })
	}()
	return r
}

// errand is one of them.
type errand struct {
	what       string // "update" or "check"
	generation *generation
	spec       control.PoolSpec
	as         control.Errand

	run      *process      // for its gate
	started  proc.ID       // zero: not yet
	group    proc.Cgroup   // empty: ours
	unwanted chan struct{} // closed when it is to end
	ended    bool
	failure  string // empty: none
	lines    []string
}

// newErrand prepares what a pool runs in the environment, in the directory and as
// the user of its workers to come.
func (l *loop) newErrand(spec control.PoolSpec, what string, as control.Errand, in control.Program) (*errand, error) {
	in.Command = as.Command
	spec.Program = &in
	g, err := l.cfg.generation(spec)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", what, spec.Name, err)
	}
	return &errand{
		what: what, generation: g, spec: spec, as: as,
		run: &process{gate: make(chan int, 1)}, unwanted: make(chan struct{}),
	}, nil
}

func (e *errand) String() string { return e.what + " of " + e.spec.Name }

// updatesOf are the updates of pools: of the same command in the same place one.
func (l *loop) updatesOf(pools []*pool) (b errands, err error) {
	b.updates = true
	seen := make(map[string]bool)
	for _, p := range pools {
		if p.spec.Program == nil || len(p.spec.Program.Update.Command) == 0 {
			continue
		}
		e, err := l.newErrand(p.spec, "update", p.spec.Program.Update, *p.spec.Program)
		if err != nil {
			b.drop()
			return b, err
		}
		if key := fmt.Sprintf("%q %q %v", e.as.Command, e.generation.dir, e.spec.RunAs); seen[key] {
			e.generation.close()
		} else {
			seen[key] = true
			b.todo = append(b.todo, e)
		}
	}
	if len(b.todo) == 0 {
		return b, &control.Error{Code: control.ErrUsage.Code, Message: "none of these pools has an update", Hint: `norestart.toml: update = ["PROGRAM", "ARG"]`}
	}
	return b, nil
}

// advance reports whether all went well; if not it ends the job.
func (b *errands) advance(l *loop, j *job, w *reloadJob) bool {
	over, cause := b.run(l, j, w)
	switch {
	case cause == "cancelled":
		l.finish(j, control.JobCancelled, "cancelled: no worker was touched")
	case cause != "":
		l.finish(j, control.JobFailed, cause+"; no worker was touched")
	}
	return over
}

// run does what can be done now; a cause tells why they did not go well.
func (b *errands) run(l *loop, j *job, w *reloadJob) (over bool, cause string) {
	for !b.over {
		switch e := b.now; {
		case e != nil && !e.ended && j.cancelled:
			e.cancel()
			return false, ""
		case e != nil && !e.ended:
			return false, ""
		case j.cancelled:
			return false, "cancelled"
		case e != nil && e.failure != "":
			text := e.String() + " " + e.failure
			j.step(control.JobEvent{Event: control.StepFailed, Error: e.failure, Text: text, Lines: e.lines})
			return false, text
		case len(b.todo) > 0:
			b.now, b.todo = b.todo[0], b.todo[1:]
			l.runErrand(b.now, j)
		case b.updates && b.read == nil:
			b.read = l.readAnew()
		case b.updates && !b.read.done:
			return false, ""
		case !b.checks:
			if err := b.addChecks(l, w); err != nil {
				return false, strings.TrimSuffix(err.Error(), "; nothing was changed")
			}
		default:
			b.over = true
		}
	}
	return true, ""
}

// addChecks makes the generations, if an update could change what they are, and
// finds the check of each.
func (b *errands) addChecks(l *loop, w *reloadJob) error {
	b.checks = true
	if b.updates {
		if err := w.makeGenerations(l, b.read); err != nil {
			return err
		}
	}
	for _, c := range w.todo {
		if err := b.addCheck(l, c.pool.spec, c.generation); err != nil {
			return err
		}
	}
	return nil
}

// addCheck adds the check of a generation, if its pool has one.
func (b *errands) addCheck(l *loop, spec control.PoolSpec, g *generation) error {
	own := spec.Program
	if own == nil || g == nil || len(own.Check.Command) == 0 {
		return nil
	}
	e, err := l.newErrand(spec, "check", own.Check, control.Program{Env: g.env, Dir: g.dir})
	if err == nil {
		b.todo = append(b.todo, e)
	}
	return err
}

// makeGenerations takes in what was read of the pools, which wait for their turn.
func (w *reloadJob) makeGenerations(l *loop, r *reading) (err error) {
	if r.err != nil {
		return r.err
	}
	var pools []*pool
	for _, c := range w.todo {
		pools = append(pools, c.pool)
	}
	if err := r.now.renew(pools); err != nil {
		return err
	}
	for _, c := range w.todo {
		if c.generation, err = l.cfg.generation(c.pool.spec); err != nil {
			return fmt.Errorf("pool %s: %w", c.pool.spec.Name, err)
		}
		c.Again = false
	}
	return nil
}

// drop ends what runs, and forgets what has not begun.
func (b *errands) drop() {
	if b.now != nil {
		b.now.cancel()
	}
	for _, e := range b.todo {
		e.generation.close()
	}
	b.todo = nil
}

func (e *errand) cancel() {
	select {
	case <-e.unwanted:
	default:
		close(e.unwanted)
	}
}

// errandRecord is an errand that runs. The next primary ends it: it would change
// files while no job shows it.
type errandRecord struct {
	Pool     string        `cbor:"pool"`
	What     string        `cbor:"what"`
	Left     leftover      `cbor:"left"`
	Patience time.Duration `cbor:"patience"`
}

func (l *loop) errandRecords() (all []errandRecord) {
	for _, e := range l.errands {
		if e.started.PID != 0 {
			left := leftover{[]proc.ID{e.started}, e.group}
			all = append(all, errandRecord{e.spec.Name, e.what, left, e.spec.KillAfter})
		}
	}
	return all
}

// endErrands ends those of an earlier primary.
func (l *loop) endErrands(all []errandRecord) {
	k, ok := l.cfg.Starter.(keeper)
	if !ok {
		return
	}
	post := l.post
	for _, r := range all {
		l.spawn.wg.Go(func() {
			n, err := k.End(r.Left.Processes, r.Left.Group, r.Patience)
			post(func(l *loop) {
				switch what := fmt.Sprintf("%s of pool %s", r.What, r.Pool); {
				case err != nil:
					l.tell(control.Event{Kind: control.EventPoolTrouble, Text: what + ", which an earlier primary ran: " + err.Error()})
				case n > 0:
					l.tell(control.Event{Kind: control.EventPoolTrouble, Text: what + " was ended: the primary that ran it had gone"})
				}
			})
		})
	}
}

// words shows a command to a person.
func words(command []string) string {
	return quoted(strings.Join(command, " "))
}
