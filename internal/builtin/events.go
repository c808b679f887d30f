package builtin

import (
	"context"
	"fmt"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func eventsCommand() commands.Command {
	return commands.Command{
		Name: "events", Role: commands.Viewer, Group: groupLook, Run: run(0, 0, showEvents), Flags: streamFlags,
		Summary: "what happened in the cluster, and who asked for it",
	}
}

func showEvents(ctx context.Context, call *Call) error {
	s, err := call.stream()
	if err != nil {
		return err
	}
	q := control.EventQuery{Lines: s.lines, Follow: s.follow, After: s.after}
	return read(ctx, call, s, q, func(e control.Event) (control.Cursor, string) { return e.Cursor, eventText(e) })
}

func eventText(e control.Event) string {
	line := fmt.Sprintf("%s %s %s", e.Time.Local().Format(stamp), commands.Safe(string(e.Kind)), commands.Safe(e.Text))
	if e.User != "" {
		line += " (by " + commands.Safe(e.User) + ")"
	}
	return skipped(e.Skipped) + line + "\n"
}
