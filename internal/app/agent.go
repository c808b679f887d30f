package app

import (
	"context"
	"fmt"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

// shellSettings are what the shell worker of an application from a file is told.
type shellSettings struct {
	Shell    *shell.Config // without its commands, which are code
	Commands []AgentCommand
}

// commands are those of the agent, for the shell worker w.
func (a Agent) commands(w *worker.Worker) []commands.Command {
	var all []commands.Command
	for _, c := range a.Commands {
		all = append(all, commands.Command{
			Name: c.Name, Role: c.Role, Summary: c.Summary, Usage: c.Usage,
			Run: func(ctx context.Context, call *commands.Call) error { return runInAgent(ctx, w, call) },
		})
	}
	return all
}

// runInAgent hands a command to the agent: the shell worker starts no programs.
func runInAgent(ctx context.Context, w *worker.Worker, call *commands.Call) error {
	client, ok := w.Control(call.User).(*ipc.Client)
	if !ok {
		return fmt.Errorf("%s: no way to the agent", call.Args[0])
	}
	status, err := client.Attach(ctx, ipc.Attach{Args: call.Args, User: call.User}, ipc.Streams{Out: call.Out, Err: call.Err})
	if err == nil && status != commands.StatusOK {
		err = &commands.Error{Code: "command_failed", Status: status, Message: fmt.Sprintf("%s: exit status %d", call.Args[0], status)}
	}
	return err
}
