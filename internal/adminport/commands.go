package adminport

import (
	"context"
	"slices"
	"strings"

	"github.com/norestart/norestart/commands"
)

// groupSession is the heading of this package's commands in help.
const groupSession = "Session"

// clearScreen moves the cursor to the first row and clears the screen.
const clearScreen = "\x1b[H\x1b[2J"

// sessionCommands are the commands of the session itself. quit and clear are
// there out of habit: a command of the application with that name wins.
func sessionCommands(custom []commands.Command) []commands.Command {
	leave := commands.Command{
		Name: "exit", Role: commands.Viewer, Group: groupSession,
		Summary: "leave; so do quit, .exit and Ctrl-D", Run: runExit,
	}
	dot, quit := leave, leave
	dot.Name, dot.Summary, dot.Hidden = ".exit", "leave", true
	quit.Name, quit.Summary, quit.Hidden = "quit", "leave", true
	list := []commands.Command{leave, dot, {
		Name: "history", Role: commands.Viewer, Group: groupSession,
		Summary: "the lines that you typed, oldest first", Run: runHistory,
	}}
	for _, c := range []commands.Command{quit, {
		Name: "clear", Role: commands.Viewer, Group: groupSession,
		Summary: "clear the screen, as Ctrl-L does", Run: runClear,
	}} {
		if !slices.ContainsFunc(custom, func(own commands.Command) bool { return strings.Fields(own.Name + " ")[0] == c.Name }) {
			list = append(list, c)
		}
	}
	return list
}

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

func runClear(ctx context.Context, call *commands.Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	sess, err := sessionOf(ctx)
	if err != nil {
		return err
	}
	if sess.moves {
		call.Printf("%s", clearScreen)
	}
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
	if sess.local() { // a local caller runs one command and has no name to keep lines under
		return nil
	}
	for i, line := range sess.srv.history.of(sess.who.name).list() {
		call.Printf("%4d  %s\n", i+1, commands.Safe(line))
	}
	return nil
}
