package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Waits for the processes that are measured.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second
)

// process is a program that the benchmark started and will end.
type process struct {
	cmd   *exec.Cmd
	lines chan string // what it prints, until somebody has seen what he waits for
	done  chan error  // its end
}

// start starts cmd, whose standard output can be awaited.
func start(cmd *exec.Cmd) (*process, error) { return startPiped(cmd, cmd.StdoutPipe) }

// startPiped starts cmd; what comes by the pipe can be awaited.
func startPiped(cmd *exec.Cmd, pipe func() (io.ReadCloser, error)) (*process, error) {
	p := &process{cmd: cmd, lines: make(chan string, 64), done: make(chan error, 1)}
	r, err := pipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.read(r)
		p.done <- p.cmd.Wait()
	}()
	return p, nil
}

// read keeps lines while there is room, and always empties the pipe.
func (p *process) read(r io.Reader) {
	in := bufio.NewScanner(r)
	for in.Scan() {
		select {
		case p.lines <- in.Text():
		default:
		}
	}
	close(p.lines)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// forget drops the lines that nobody has asked for.
func (p *process) forget() {
	for {
		select {
		case _, ok := <-p.lines:
			if !ok {
				return
			}
		default:
			return
		}
	}
}

// line waits for a line with that text.
func (p *process) line(ctx context.Context, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last string
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("%s ended before it printed %q: %s", p.cmd.Path, text, last)
			}
			if strings.Contains(line, text) {
				return line, nil
			}
			last = line
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for %q of %s: %w", text, p.cmd.Path, ctx.Err())
		}
	}
}

// stop ends the process with TERM, or with KILL if that does not help.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it has ended, if it fails
	t := time.NewTimer(stopTimeout)
	defer t.Stop()
	select {
	case <-p.done:
		return nil
	case <-t.C:
		err := p.cmd.Process.Kill()
		<-p.done
		return errors.Join(fmt.Errorf("%s ignored TERM", p.cmd.Path), err)
	}
}
