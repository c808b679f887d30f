package builtin

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func logCommand() commands.Command {
	return commands.Command{
		Name: "log", Role: commands.Viewer, Group: groupLook, Run: run(0, 0, showLog), Summary: "what the workers wrote",
		Flags: func(flags *pflag.FlagSet) {
			flags.String("worker", "", "only lines of the worker with this `id`")
			flags.Bool("raw", false, "only the text, just as the worker wrote it: its escape sequences reach the terminal")
			streamFlags(flags)
		},
	}
}

func showLog(ctx context.Context, call *Call) error {
	s, err := call.stream()
	if err != nil {
		return err
	}
	text := logText
	if call.given("raw") {
		text = rawText
	}
	q := control.LogQuery{Worker: call.text("worker"), Lines: s.lines, Follow: s.follow, After: s.after}
	return read(ctx, call, s, q, func(l control.LogLine) (control.Cursor, string) { return l.Cursor, text(l) })
}

func logText(l control.LogLine) string {
	return skipped(l.Skipped) + fmt.Sprintf("%s %s %s\n", l.Time.Local().Format(stamp), commands.Safe(l.Worker), commands.Safe(l.Text))
}

// rawText leaves escape sequences as they are.
func rawText(l control.LogLine) string { return skipped(l.Skipped) + l.Text + "\n" }
