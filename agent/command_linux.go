package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/shellworker"
)

// Command is a program that runs when an operator types a name.
type Command struct {
	Name    string
	Run     []string      // the program and its first arguments; those that were typed follow
	Dir     string        // its working directory, absolute
	Timeout time.Duration // 0: none
}

// killAfter is how long a command may go on that was told to end.
const killAfter = 3 * time.Second

var errTimeout = errors.New("timed out")

// serveCommands runs what callers ask for until ctx ends; what runs then goes on.
func (c Config) serveCommands(ctx context.Context, cluster string, calls <-chan *shellworker.Call, running *sync.WaitGroup) {
	for {
		select {
		case call := <-calls:
			running.Go(func() { _ = call.Exit(c.serve(cluster, call)) }) // who has gone needs no status
		case <-ctx.Done():
			return
		}
	}
}

// serve runs one command and returns its exit status.
func (c Config) serve(cluster string, call *shellworker.Call) int {
	args := call.Args()
	for _, one := range c.Commands {
		if one.Name == args[0] {
			return one.run(call, cluster, args[1:])
		}
	}
	fmt.Fprintf(call.Stderr(), "error: this agent has no command %q\n", args[0])
	return commands.StatusUnknown
}

func (c Command) run(call *shellworker.Call, cluster string, args []string) int {
	ctx, cancel := call.Context(), context.CancelFunc(func() {})
	if c.Timeout > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, errTimeout)
	}
	defer cancel()
	cmd := command(ctx, append(c.Run[:len(c.Run):len(c.Run)], args...), c.Dir)
	cmd.Env = append(os.Environ(), "NORESTART_COMMAND="+c.Name, "NORESTART_COMMAND_USER="+call.User(), "NORESTART_COMMAND_CLUSTER="+cluster)
	cmd.Stdout, cmd.Stderr = call.Stdout(), call.Stderr()
	var last *time.Timer
	cmd.Cancel = func() error {
		last = time.AfterFunc(killAfter, func() { _ = signalGroup(cmd, syscall.SIGKILL) })
		return signalGroup(cmd, syscall.SIGTERM)
	}
	cmd.WaitDelay = killAfter + time.Second
	err := cmd.Run()
	if last != nil && last.Stop() {
		_ = signalGroup(cmd, syscall.SIGKILL) // what its program has started
	}
	switch {
	case ctx.Err() != nil && context.Cause(ctx) == errTimeout:
		fmt.Fprintf(call.Stderr(), "error: %s: %v after %v\n", c.Name, errTimeout, c.Timeout)
		return commands.StatusTimeout
	case ctx.Err() != nil:
		return commands.StatusCancelled
	}
	return exitStatus(call, c.Name, err)
}

func signalGroup(cmd *exec.Cmd, sig syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, sig) }

// exitStatus is that of a program as a shell tells it; one that could not be
// started has failed.
func exitStatus(call *shellworker.Call, name string, err error) int {
	if err == nil || errors.Is(err, exec.ErrWaitDelay) { // something of it runs on, and it has ended well
		return commands.StatusOK
	}
	exited, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		fmt.Fprintf(call.Stderr(), "error: %s: %v\n", name, err)
		return commands.StatusFailed
	}
	if s, ok := exited.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal())
	}
	return min(exited.ExitCode(), 254) // 255 is the transport's own
}
