package primary

import (
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

// succession is the part of a restart in which the primary replaces its own
// code: the new binary is checked as a child, then executed in place.
type succession struct {
	to      *generation
	asked   bool
	checked bool
	err     error
}

// advance tells whether the succession is over; when it goes well it does not
// return.
func (s *succession) advance(l *loop, j *job) bool {
	switch {
	case s.err != nil:
		l.finish(j, control.JobFailed, fmt.Sprintf("the new binary was refused, nothing was changed: %v", s.err))
		return true
	case j.cancelled:
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

// settled tells whether no process is just being started: one that is cannot
// be found again by the next image. Nor can sockets that have not come back, or
// those of two addresses, while another job than j changes between them.
func (l *loop) settled(j *job) bool {
	for _, p := range l.pools {
		if p.gathering != nil || p.former != nil && p.job != nil && p.job != j {
			return false
		}
		for _, s := range p.seats {
			for _, r := range s.runs {
				if r.process == nil {
					return false
				}
			}
		}
	}
	return true
}

// check runs the new binary as a child and reads what it says of itself.
func (s *succession) check(l *loop) {
	g, starter, post := s.to, l.cfg.Starter, l.post
	l.spawn.wg.Go(func() {
		err := checkBinary(starter, g)
		post(func(*loop) { s.checked, s.err = true, err })
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

// said is what a process that has ended left in its pipe.
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
		return errors.New("it is no program of norestart, or one that is too old")
	}
	if low > recordVersion || high < recordVersion {
		return fmt.Errorf("it reads state versions %d to %d, this primary writes %d", low, high, recordVersion)
	}
	return nil
}

func lastLine(text string) string { return text[strings.LastIndexByte(text, '\n')+1:] }
