package primary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// RoleCheck is the role of a new binary that is asked, before anything is
// touched, whether it could take over.
const (
	RoleCheck    = "check"
	checkAnswer  = "norestart state "
	checkTimeout = 10 * time.Second
)

// CheckAnswer is what a binary in [RoleCheck] prints: the versions of the state
// that it reads.
func CheckAnswer() string {
	return fmt.Sprintf("%s%d-%d\n", checkAnswer, recordVersion, recordVersion)
}

// execInPlace is the part of a restart in which the primary replaces its own
// code: the new binary is checked as a child, then executed in place.
type execInPlace struct {
	to      *generation
	asked   bool
	checked bool
	err     error
}

// advance reports whether it is over; if all goes well it does not return.
func (s *execInPlace) advance(l *loop, j *job) bool {
	switch {
	case s.err != nil:
		l.finish(j, control.JobFailed, fmt.Sprintf("the new binary was refused, nothing was changed: %v", s.err))
		return true
	case j.cancelled && s.asked == s.checked: // while it is checked it is executed by its descriptor
		l.finish(j, control.JobCancelled, "cancelled: nothing was changed")
		return true
	case !s.asked:
		s.asked = true
		s.check(l)
	case s.checked && l.settled(j):
		err := l.exec(s.to, j)
		if errors.Is(err, errExiting) {
			return false // its exit comes next
		}
		s.err = err
		return s.advance(l, j)
	}
	return false
}

// settled reports whether no process is just being started, because the next
// image could not find it. Nor may sockets be missing, or be those of two
// addresses, while another job than j changes between them: an earlier primary
// could not tell them apart.
func (l *loop) settled(j *job) bool {
	if l.looking || len(l.errands) > 0 {
		return false // a worker waits to be told something, and nobody else awaits an errand
	}
	if len(l.waiting) > 0 {
		return false // its launcher would end
	}
	if slices.ContainsFunc(l.running(), func(o *job) bool { return o.Kind == kindConfig }) {
		return false // the next image has only one configuration
	}
	for _, p := range l.pools {
		if p.adoption != nil || p.job != nil && p.job != j && len(p.open) > len(p.listenOf(p.gen)) {
			return false
		}
	}
	for _, r := range processes(l.slots()) {
		if r.handle == nil {
			return false
		}
	}
	return true
}

// check runs the new binary as a child and reads its answer, and what its
// configuration is.
func (s *execInPlace) check(l *loop) {
	g, starter, file, post := s.to, l.cfg.Starter, l.file, l.post
	l.spawn.wg.Go(func() {
		var now *Configuration
		err := checkBinary(starter, g)
		if err == nil {
			now, err = file.now(context.Background()) // which has a deadline
		}
		post(func(l *loop) {
			if s.checked, s.err = true, err; err == nil && now != nil {
				s.err = l.clash(now.Spec)
			}
		})
	})
}

func checkBinary(starter proc.Starter, g *generation) error {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(null)
	out, child, err := openOutput()
	if err != nil {
		return err
	}
	defer out.Close()
	p, err := starter.Start(proc.Command{
		Path: g.binary.ExecPath(), Argv: g.argv, Dir: g.dir, Files: []int{null, child, child},
		Env: append(slices.Clone(g.env), RoleVariable+"="+RoleCheck),
	})
	_ = unix.Close(child) // the child's
	if err != nil {
		return fmt.Errorf("it could not be started: %w", err)
	}
	select {
	case e := <-p.Wait():
		return judge(e, said(out))
	case <-time.After(checkTimeout):
		_ = p.Signal(sigKill)
		<-p.Wait()
		return fmt.Errorf("its self-check did not end within %v", checkTimeout)
	}
}

// said is the output of a process that has ended.
func said(out *os.File) string {
	o := &output{file: out}
	var all []byte
	o.drain(func(data []byte) { all = append(all, data...) })
	return strings.TrimSpace(string(all))
}

func judge(e proc.Exit, text string) error {
	if e.Code != 0 {
		why := fmt.Sprintf("its self-check exited with status %d", e.Code)
		if e.Signal != 0 {
			why = "its self-check was ended by " + unix.SignalName(e.Signal)
		}
		if text != "" {
			why += ": " + quoted(lastLine(text))
		}
		return errors.New(why)
	}
	var low, high int
	if _, err := fmt.Sscanf(lastLine(text), checkAnswer+"%d-%d", &low, &high); err != nil {
		return errors.New("it is not a program of norestart, or one that is too old")
	}
	if low > recordVersion || high < recordVersion {
		return fmt.Errorf("it reads state versions %d to %d, this primary writes %d", low, high, recordVersion)
	}
	return nil
}

func lastLine(text string) string { return text[strings.LastIndexByte(text, '\n')+1:] }
