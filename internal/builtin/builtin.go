package builtin

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/commandline"
)

// Call is a call of a command of this package.
type Call struct {
	*commands.Call
	in *commandline.Invocation
}

// run gives a command its [Call], if the call has as many arguments as in
// [commands.Call.Words].
func run(least, most int, do func(context.Context, *Call) error) func(context.Context, *commands.Call) error {
	return func(ctx context.Context, call *commands.Call) error {
		if _, err := call.Words(least, most); err != nil {
			return err
		}
		return do(ctx, &Call{call, commandline.InvocationOf(ctx)})
	}
}

// The values of the flags that a command declares.

func (c *Call) given(flag string) bool {
	given, _ := c.Flags().GetBool(flag)
	return given
}

func (c *Call) number(flag string) int {
	n, _ := c.Flags().GetInt(flag)
	return n
}

func (c *Call) text(flag string) string {
	text, _ := c.Flags().GetString(flag)
	return text
}

// duration is the value of a flag that must be above 0 if it is given.
func (c *Call) duration(flag string) (time.Duration, error) {
	d, _ := c.Flags().GetDuration(flag)
	if d < 0 || c.Flags().Changed(flag) && d == 0 {
		return 0, commands.Usagef("%s: --%s must be above 0", c.Args[0], flag)
	}
	return d, nil
}

func (c *Call) write(text string) error {
	_, err := io.WriteString(c.Out, text)
	return err
}

// Groups of commands in help.
const (
	groupLook    = "Look"
	groupChange  = "Change"
	groupCluster = "The cluster as a whole"
	groupSession = "Session"
)

// Commands returns the commands that every cluster has, in the order of help;
// version is that of norestart. Those of a session (history, exit) belong to the
// shell.
func Commands(version string) []commands.Command {
	return slices.Concat(
		[]commands.Command{statusCommand()}, workerCommands(),
		[]commands.Command{logCommand(), eventsCommand(), scaleCommand(), reloadCommand()}, configCommands(), []commands.Command{callCommand(), rollbackCommand(), generationCommand()},
		moduleCommands(), mailCommands(),
		jobCommands(), []commands.Command{restartCommand(), stopCommand(), auditCommand()}, sessionCommands(),
		[]commands.Command{whoamiCommand()}, helpCommands(), []commands.Command{versionCommand(version)},
	)
}

// Reserved are the words with which no command of one word of an application may
// begin: those of [Commands], and of a session at the admin port.
func Reserved() []string {
	words := []string{"exit", "history"}
	for _, c := range Commands("") {
		words = append(words, strings.Fields(c.Name)[0])
	}
	return words
}

// noFlags is for commands that take arguments only.
func noFlags(*pflag.FlagSet) {}
