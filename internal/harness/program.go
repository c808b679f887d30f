package harness

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const stopTimeout = 15 * time.Second

// Program runs beside the test.
type Program struct {
	*exec.Cmd
	Done   chan struct{} // closed when it has been waited for
	Screen *Screen       // what it shows, if the test looks at that
}

// Start starts a program. The goroutine that waits for it ends with it.
func Start(cmd *exec.Cmd) (*Program, error) {
	p := &Program{Cmd: cmd, Done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // its state tells
		close(p.Done)
	}()
	return p, nil
}

// StartSeen starts a program and shows both its outputs on its screen.
func StartSeen(cmd *exec.Cmd) (*Program, error) {
	screen := NewScreen()
	cmd.Stdout, cmd.Stderr = screen, screen
	p, err := Start(cmd)
	if err == nil {
		p.Screen = screen
	}
	return p, err
}

// PID returns the pid of its process.
func (p *Program) PID() int { return p.Process.Pid }

// Ended reports whether it has ended.
func (p *Program) Ended() bool {
	select {
	case <-p.Done:
		return true
	default:
		return false
	}
}

// See waits until the screen matches, and returns the match.
func (p *Program) See(ctx context.Context, re *regexp.Regexp) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	go func() { // ends with ctx
		select {
		case <-p.Done:
			cancel()
		case <-ctx.Done():
		}
	}()
	text, err := p.Screen.See(ctx, re)
	if err != nil {
		err = fmt.Errorf("%s: %w", p.Path, err)
	}
	return text, err
}

// Stop ends a program by TERM, or by KILL if that does not help.
func (p *Program) Stop() error {
	_ = p.Process.Signal(syscall.SIGTERM) // it has ended, if that fails
	select {
	case <-p.Done:
		return nil
	case <-time.After(stopTimeout):
		err := p.Process.Kill()
		<-p.Done
		return errors.Join(fmt.Errorf("%s ignored TERM", p.Path), err)
	}
}

// Output runs a program to its end, which must be a success.
func Output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}

// Module is the path of this module.
const Module = "github.com/norestart/norestart"

// Build builds packages of this module into the directory bin; it must run
// inside the repository. What is built comes last, after flags of go build.
func Build(ctx context.Context, bin string, args ...string) error {
	_, err := Output(ctx, "go", append([]string{"build", "-trimpath", "-o", bin + "/"}, args...)...)
	return err
}
