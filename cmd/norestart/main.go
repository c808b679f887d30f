package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/norestart/norestart/commands"
)

// statusLost is the status of ssh(1) when the connection fails; here only
// when the outcome of a command is unknown.
const statusLost = 255

func main() {
	launched()
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// streams are the inputs and outputs of a command. in is a file, because a
// password on a terminal is read without echo.
type streams struct {
	in       *os.File
	out, err io.Writer
}

// terminal reports whether a person types at the input and sees the output.
func (s streams) terminal() bool {
	out, ok := s.out.(*os.File)
	return ok && term.IsTerminal(int(out.Fd())) && term.IsTerminal(int(s.in.Fd()))
}

// subcommands lists the commands in the order of the help.
func subcommands() []func(streams) *cobra.Command {
	return []func(streams) *cobra.Command{
		upCommand,
		ctlCommand,
		stopCommand,
		clustersCommand,
		metricsCommand,
		initCommand,
		checkCommand,
		doctorCommand,
		connectCommand,
		execCommand,
		userCommand,
		certCommand,
		hostkeyCommand,
		completionCommand,
		manCommand,
		versionCommand,
	}
}

// usageTemplate is the part of --help after the text of a command.
const usageTemplate = `Usage:
  {{.UseLine}}
{{if .HasExample}}
Examples:
{{.Example}}
{{end}}{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableSubCommands}}
More about a command: {{.CommandPath}} COMMAND --help
{{end}}`

// run executes a command line and returns the exit status.
func run(args []string, std streams) int {
	root := rootCommand(std)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(context.Background())
	return report(std.err, cmd, err)
}

func rootCommand(std streams) *cobra.Command {
	root := group("norestart", "Run programs that are never stopped")
	root.Long = `Norestart runs programs that are never stopped: not to scale them, not to
replace their code, not to replace norestart itself.

This command starts clusters, prepares them and speaks to them.`
	root.CompletionOptions.DisableDefaultCmd = true // ours is completionCommand
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetUsageTemplate(usageTemplate)
	root.Version = version()
	root.SetVersionTemplate("norestart {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version of norestart and of Go") // cobra's own has a -v
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(badFlag)
	cobra.EnableCommandSorting = false
	for _, command := range subcommands() {
		root.AddCommand(command(std))
	}
	asWritten(root)
	return root
}

// asWritten shows each command's usage line as it is.
func asWritten(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	for _, sub := range cmd.Commands() {
		asWritten(sub)
	}
}

// flagsAfter says that a flag of COMMAND must come after it.
func flagsAfter(words string) func(*cobra.Command, error) error {
	return func(cmd *cobra.Command, err error) error {
		unknown, ok := errors.AsType[*pflag.NotExistError](err)
		if !ok || unknown.GetSpecifiedShortnames() != "" {
			return badFlag(cmd, err)
		}
		return hint(commands.Usagef("%w", err), "flags of COMMAND go after it: %s %s --%s", cmd.CommandPath(), words, unknown.GetSpecifiedName())
	}
}

// writeList prints a list as the object of --json.
func writeList[T any](w io.Writer, name string, list []T) error {
	data, err := json.Marshal(append([]T{}, list...)) // [] when it is nil
	if err == nil {
		_, err = fmt.Fprintf(w, "{\"version\":1,%q:%s}\n", name, data)
	}
	return err
}

// group returns a command that only holds subcommands. Alone it prints its
// help; any other word is wrong usage.
func group(name, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use:                        name + " COMMAND",
		Short:                      short,
		SuggestionsMinimumDistance: 2,
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("unknown command %q", args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += ", did you mean " + strings.Join(near, " or ") + "?"
		}
		return commands.Usagef("%s", text)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// exact is [cobra.ExactArgs] with an error that names what is missing.
func exact(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return commands.Usagef("%s is missing", names[len(args)])
		case len(args) > len(names):
			return commands.Usagef("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// optional takes at most one argument.
func optional(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return exact([]string{name}[:min(len(args), 1)]...)(cmd, args)
	}
}
