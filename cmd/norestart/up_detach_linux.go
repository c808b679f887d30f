package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/app"
	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/launch"
)

// detach starts this command without --detach in a session of its own, shows its
// output, and returns when all workers are ready or one has been given up. A
// Ctrl-C meanwhile stops it.
func detach(std streams, a app.App) error {
	d, err := dirs.For(a.Name, a.Dir)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := exec.Command(os.Args[0], attached(os.Args[1:])...)
	cmd.Env = append(os.Environ(), app.DetachVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := launch.CloseOnExecFrom(3); err != nil { // what a shell left open would stay so
		return err
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	interrupted := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer interrupted()             // before stop, which ends ctx
	_, err = io.Copy(std.err, said) // it ends with the process, or when that needs nobody who reads any more
	if err != nil {
		return err
	}
	st, err := control.Get(ctx, &ipc.Client{Dial: ctl{run: d.Run}.dial}, control.StatusQuery{})
	switch {
	case err == nil && st.Primary != nil && st.Primary.PID == cmd.Process.Pid:
		return settled(std, st, a.Dir)
	case ctx.Err() != nil:
		_ = cmd.Wait() // by our TERM
		return &control.Error{Status: commands.StatusCancelled, Message: "stopped before it was ready"}
	}
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); ok {
		return ended(max(exit.ExitCode(), commands.StatusFailed))
	}
	return err // it has ended well, or cannot be reached
}

// attached are arguments without --detach.
func attached(args []string) []string {
	end := slices.Index(args, "--")
	if end < 0 {
		end = len(args)
	}
	own := slices.DeleteFunc(slices.Clone(args[:end]), func(arg string) bool {
		return arg == "--detach" || strings.HasPrefix(arg, "--detach=")
	})
	return append(own, args[end:]...)
}

// settled reports how a cluster that runs on has begun.
func settled(std streams, st control.Status, dir string) error {
	where := "--name " + st.Name
	if dir != "" {
		where = "--dir " + dir
	}
	for _, p := range st.Pools {
		if p.Short() > 0 {
			return hint(fmt.Errorf("it runs as pid %d, but %d of %d workers of %s are not ready: %s", st.Primary.PID, p.Short(), p.Target, p.Name, p.LastFailure),
				"norestart ctl %s status, log and stop", where)
		}
	}
	_, err := fmt.Fprintf(std.err, "%s: runs in the background as pid %d; norestart ctl %s stop ends it\n", st.Name, st.Primary.PID, where)
	return err
}
