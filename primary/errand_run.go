package primary

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// runErrand runs an errand beside the loop. Like a worker of another program it is
// executed when the record has it.
func (l *loop) runErrand(e *errand, j *job) {
	l.errands = append(l.errands, e)
	name := e.spec.Name
	j.note("%s: %s in %s: %s", name, e.what, e.generation.dir, words(e.as.Command))
	e.group = l.spawn.errandGroup(e, j.ID)
	post, sp := l.post, l.spawn
	tell := func(event control.JobEvent) { post(func(*loop) { j.step(event) }) }
	sp.wg.Go(func() {
		exit, why, lines := sp.runErrand(e, post, tell)
		e.generation.close()
		post(func(l *loop) {
			l.errands = slices.DeleteFunc(l.errands, func(o *errand) bool { return o == e })
			l.changed = true
			e.run.letIn(false)
			e.ended, e.failure, e.lines = true, errandFailure(exit, why), lines
		})
	})
}

func (sp *spawner) errandGroup(e *errand, job string) proc.Cgroup {
	if e.spec.KillGroup == control.KillOwnGroup {
		return ""
	}
	return sp.group.Child(fmt.Sprintf("norestart.%s.%s.%s.%s", sp.cfg.Spec.Name, e.spec.Name, e.what, job))
}

// errandFailure is empty for one that ended well.
func errandFailure(exit control.Exit, why string) string {
	if exit.Code == 0 && exit.Reason == "" {
		return ""
	}
	exit.Cause = why
	return exitText(exit)
}

// runErrand runs an errand to its end. Its lines are told as they come, and go to
// the log.
func (sp *spawner) runErrand(e *errand, post func(event) bool, tell func(control.JobEvent)) (exit control.Exit, why string, last []string) {
	name, begun := e.spec.Name, time.Now()
	unlock, err := e.lock(tell)
	if err != nil {
		return control.Exit{Code: -1, Reason: err.Error()}, "", nil
	}
	defer unlock()
	equip := func() (equipment, error) {
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			return equipment{}, err
		}
		e.run.gate <- pipe[1]
		return equipment{
			env: []string{"NORESTART_POOL=" + name}, gate: pipe[0], close: func() { _ = unix.Close(pipe[0]) },
			awaits: func(line string) bool {
				tell(control.JobEvent{Event: control.StepOutput, OK: true, Output: line, Text: name + " " + e.what + ": " + line})
				return false
			},
		}, nil
	}
	p, out, err := sp.spawn(e.generation, equip, e.spec, name+"/"+e.what, 0, e.group)
	if err != nil {
		_ = e.group.Remove()
		return control.Exit{Code: -1, Reason: "could not be started: " + err.Error()}, "", nil
	}
	post(func(l *loop) {
		e.started = idOf(p)
		l.atGate(e.run)
	})
	ended, reason := sp.awaitErrand(e, p)
	cause, lines := out.finish()
	exit = control.Exit{PID: p.PID(), Code: ended.Code, Uptime: time.Since(begun), Reason: reason}
	if ended.Signal != 0 {
		exit.Signal = unix.SignalName(ended.Signal)
	}
	return exit, cause(), slices.Clone(lines)
}

// awaitErrand waits for the end of an errand, or ends it with all that it has
// started, and says why.
func (sp *spawner) awaitErrand(e *errand, p proc.Process) (exit proc.Exit, reason string) {
	var late <-chan time.Time
	if e.as.Timeout > 0 {
		t := time.NewTimer(e.as.Timeout)
		defer t.Stop()
		late = t.C
	}
	k, _ := sp.cfg.Starter.(keeper)
	select {
	case exit = <-p.Wait():
		if k != nil && e.group != "" {
			_, _ = k.End(nil, e.group, e.spec.KillAfter) // what it has left behind
		}
		return exit, ""
	case <-late:
		reason = fmt.Sprintf("it did not end within %v", e.as.Timeout)
	case <-e.unwanted:
		reason = "cancelled"
	}
	if k == nil {
		_ = p.Signal(sigKill)
	} else {
		_, _ = k.End([]proc.ID{idOf(p)}, e.group, e.spec.KillAfter)
	}
	return <-p.Wait(), reason
}

// lockedAgain is how often a directory is tried that another update has.
const lockedAgain = 100 * time.Millisecond

// lock keeps other updates, also those of other clusters, out of the directory. A
// file system that cannot lock it is used without.
func (e *errand) lock(tell func(control.JobEvent)) (unlock func(), err error) {
	if e.what != "update" {
		return func() {}, nil
	}
	fd, err := unix.Open(e.generation.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", e.generation.dir, err)
	}
	for told := false; errors.Is(unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK); told = true {
		if !told {
			tell(control.JobEvent{Event: control.StepNote, OK: true, Text: "another update runs in " + e.generation.dir + ": it is waited for"})
		}
		select {
		case <-e.unwanted:
			return nil, errors.Join(errors.New("cancelled"), unix.Close(fd))
		case <-time.After(lockedAgain):
		}
	}
	return func() { _ = unix.Close(fd) }, nil
}
