package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit statuses of our own commands.
const (
	statusOK     = 0
	statusFailed = 1
	statusUsage  = 2
	// Those that the commands of an admin port have, too.
	statusTimeout   = 124
	statusCancelled = 130
	// statusLost is that of ssh(1) when the connection fails; here only when
	// nobody knows what became of a command.
	statusLost = 255
)

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// streams are what a command reads and writes. in is a file, for a password is
// read differently from a terminal.
type streams struct {
	in       *os.File
	out, err io.Writer
}

// subcommands lists the commands in the order of the help.
func subcommands() []func(streams) *cobra.Command {
	return []func(streams) *cobra.Command{
		ctlCommand,
		stopCommand,
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

// usageTemplate is what --help prints after the text of a command.
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
	cmd, err := root.ExecuteC()
	return report(std.err, cmd, err)
}

func rootCommand(std streams) *cobra.Command {
	root := group("norestart", "Run programs that are never stopped")
	root.Long = `Norestart runs programs that are never stopped: not to scale them, not to
replace their code, not to replace norestart itself.

This command prepares clusters and speaks to them.`
	root.CompletionOptions.DisableDefaultCmd = true // ours is completionCommand
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetUsageTemplate(usageTemplate)
	root.Version = version()
	root.SetVersionTemplate("norestart {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version of norestart and of Go") // cobra's own has a -v
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	cobra.EnableCommandSorting = false
	for _, command := range subcommands() {
		root.AddCommand(command(std))
	}
	return root
}

// group returns a command that only holds others. Alone it shows its help; with
// a word that is none of its commands it is wrong usage.
func group(name, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use:                        name + " COMMAND",
		Short:                      short,
		DisableFlagsInUseLine:      true,
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
		return usage(errors.New(text))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// exact is [cobra.ExactArgs] with an error that names what is missing.
func exact(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage(fmt.Errorf("%s is missing", names[len(args)]))
		case len(args) > len(names):
			return usage(fmt.Errorf("unexpected argument %q", args[len(names)]))
		}
		return nil
	}
}
