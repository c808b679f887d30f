package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// commandTimeout is when a command has to have ended, whatever happened to the
// cluster meanwhile: every job ends.
const commandTimeout = 2 * time.Minute

// mostCommands run at once.
const mostCommands = 2

// operator gives commands, by ctl and by ssh.
type operator struct {
	*place
	*journal
	watch *watcher
	wg    sync.WaitGroup

	mu      sync.Mutex // a leaf
	running int
	overlap int // counts commands that ran beside another
}

func (o *operator) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.running >= mostCommands
}

func (o *operator) wait() { o.wg.Wait() }

// give gives a command and looks what comes of it, without waiting.
func (o *operator) give(ctx context.Context, kind string, ssh bool, words ...string) {
	o.mu.Lock()
	o.running++
	before := o.overlap
	if o.running > 1 {
		o.overlap++
		before = -1
	}
	o.mu.Unlock()
	scaled := o.scaling(words)
	quiet, begun := o.quiet(), time.Now()
	o.did(kind, "%s", o.line(ssh, words))
	o.wg.Go(func() {
		out, err := o.run(ctx, ssh, words)
		scaled()
		o.mu.Lock()
		o.running--
		alone := before == o.overlap
		o.mu.Unlock()
		if err == nil || ctx.Err() != nil {
			return
		}
		o.did("", "%s: %v: %s", o.line(ssh, words), err, lastLine(out))
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			o.wrong("%s does not end: %s", o.line(ssh, words), out)
		case alone && quiet && o.undisturbed(begun):
			o.wrong("%s failed, and nothing disturbed it: %v: %s", o.line(ssh, words), err, out)
		}
	})
}

// scaling tells the watcher what slots may go away, until the returned function
// is called.
func (o *operator) scaling(words []string) (done func()) {
	if words[0] != "scale" {
		return func() {}
	}
	to, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		return func() {}
	}
	return o.watch.scale(to)
}

func (o *operator) line(ssh bool, words []string) string {
	if ssh {
		return "ssh " + strings.Join(words, " ")
	}
	return "ctl " + strings.Join(words, " ")
}

func (o *operator) ctl(ctx context.Context, words ...string) (string, error) {
	return o.run(ctx, false, words)
}

func (o *operator) run(ctx context.Context, ssh bool, words []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	args := append([]string{o.norestart, "ctl", "--dir", o.state()}, words...)
	if ssh {
		args = append([]string{"ssh", "-F", o.sshConfig(), "cluster"}, words...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return string(out), ctx.Err()
	}
	if err != nil {
		return string(out), fmt.Errorf("%s: %w", words[0], err)
	}
	return string(out), nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
