package shell

import (
	"context"

	"github.com/norestart/norestart/commands"
)

// groupSession is the heading of this package's commands in help.
const groupSession = "Session"

// builtin are the commands of the session itself.
func builtin() []commands.Command {
	leave := commands.Command{
		Name: "exit", Role: commands.Viewer, Group: groupSession,
		Summary: "leave; so do .exit and Ctrl-D", Run: runExit,
	}
	dot := leave
	dot.Name, dot.Summary = ".exit", "leave"
	return []commands.Command{leave, dot, {
		Name: "history", Role: commands.Viewer, Group: groupSession,
		Summary: "the lines that you typed, oldest first", Run: runHistory,
	}}
}

// sessionOf finds the session that a command was typed in.
func sessionOf(ctx context.Context) (*session, error) {
	sess, ok := ctx.Value(sessionKey{}).(*session)
	if !ok {
		return nil, &commands.Error{Code: "no_session", Message: "only in a session of the admin port"}
	}
	return sess, nil
}

func runExit(ctx context.Context, call *commands.Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	sess, err := sessionOf(ctx)
	if err != nil {
		return err
	}
	sess.left.Store(true)
	return nil
}

func runHistory(ctx context.Context, call *commands.Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	sess, err := sessionOf(ctx)
	if err != nil {
		return err
	}
	if sess.local() { // one command, and who gave it has no name to keep lines under
		return nil
	}
	for i, line := range sess.srv.history.of(sess.who.name).list() {
		call.Printf("%4d  %s\n", i+1, commands.Safe(line))
	}
	return nil
}
