package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// execute runs the program of a hook, with the event as JSON on its standard
// input and in its environment.
func (hook Hook) execute(ctx context.Context, what happening) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	cmd := command(ctx, hook.Run, hook.Dir)
	cmd.Env = append(os.Environ(), what.env()...)
	cmd.Stdin = bytes.NewReader(append(text, '\n'))
	return run(ctx, cmd)
}

// run runs a program whose last line says why it failed.
func run(ctx context.Context, cmd *exec.Cmd) error {
	var said tail
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := because(ctx, cmd.Run()); err != nil && !errors.Is(err, exec.ErrWaitDelay) { // something of it runs on, and it has ended well
		if line := said.line(); line != "" {
			return fmt.Errorf("%w: %s", err, line)
		}
		return err
	}
	return nil
}

// command is a program of the file: in a process group of its own, which is
// killed when ctx ends, and with the agent.
func command(ctx context.Context, words []string, dir string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for what it has left behind with its output
	return cmd
}

// tail keeps the end of what is written.
type tail struct{ kept []byte }

const tailRoom = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-tailRoom):]...)
	t.kept = append(t.kept[:0], t.kept[max(0, len(t.kept)-tailRoom):]...)
	return len(p), nil
}

// line is the last line.
func (t *tail) line() string {
	lines := strings.Split(strings.TrimSpace(string(t.kept)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
