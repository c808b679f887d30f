package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/config"
)

func checkCommand(std streams) *cobra.Command {
	var against string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say what is wrong with a configuration",
		Long: `Read a configuration, norestart.toml unless another is named, as a start and a
reload do, and say all that is wrong with it, a line each:

  FILE:LINE: KEY = VALUE: what would be right

The files of variables, directories, programs and users that it names must be
there. The status is 0 when it can be used, else 2.

With --against it also prints what a reload would change for a cluster that
runs with another file. Values of the environment are not shown.`,
		Example: `  norestart check
  norestart check --against /srv/shop/norestart.toml new.toml`,
		Args: optional("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			path := config.FileName
			if len(args) > 0 {
				path = args[0]
			}
			file, err := loadConfig(std.err, path)
			if err != nil {
				return err
			}
			if against == "" {
				return printPools(std.out, path, file)
			}
			before, err := loadConfig(std.err, against)
			if err != nil {
				return err
			}
			return printChanges(std.out, config.Diff(before.Spec(), file.Spec()))
		},
	}
	cmd.Flags().StringVar(&against, "against", "", "print what differs from another `file`")
	return cmd
}

// loadConfig reads a configuration. What is wrong with it goes to w, a line
// each.
func loadConfig(w io.Writer, path string) (*config.File, error) {
	file, err := config.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint(err, "norestart init writes one")
	}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		fmt.Fprintln(w, problems)
		return nil, &control.Error{Status: commands.StatusUsage}
	}
	return file, err
}

func printPools(w io.Writer, path string, file *config.File) error {
	var names []string
	for _, p := range file.Pools {
		names = append(names, p.Name)
	}
	text := fmt.Sprintf("%s: well, pools: %s\n", path, strings.Join(names, ", "))
	for _, hint := range file.Hints() {
		text += hint + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

func printChanges(w io.Writer, changes []config.Change) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "no difference")
		return err
	}
	for _, c := range changes {
		if _, err := fmt.Fprintln(w, c); err != nil {
			return err
		}
	}
	return nil
}
