package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/config"
	"github.com/norestart/norestart/internal/config/importer"
)

func initCommand(std streams) *cobra.Command {
	var from string
	var systemd bool
	cmd := &cobra.Command{
		Use:   "init [--systemd] [--from FILE | -- PROGRAM [ARG...]]",
		Short: "Write a configuration to begin with",
		Long: `Write norestart.toml with a pool that runs PROGRAM, and the keys that most need
as comments. A file that is there is left as it is.

With --from it is made of the configuration of another process manager: a
Procfile, the ecosystem.config.js or .json of PM2 (node executes the former), a
supervisord.conf or a systemd .service, beside which a .socket is read, too.
What has no counterpart becomes a comment in the table of its pool.

With --systemd it also writes NAME.service, a unit that runs the cluster as this
user; of a norestart.toml that is there already if neither --from nor a PROGRAM
is given.`,
		Example: `  norestart init -- node server.js
  norestart init --from ecosystem.config.js
  norestart init --systemd`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && cmd.ArgsLenAtDash() != 0:
				return commands.Usagef("unexpected argument %q: a program goes behind --", args[0])
			case len(args) > 0 && from != "":
				return commands.Usagef("--from names the programs: leave yours out")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := os.Lstat(config.FileName)
			if there := err == nil; !there || !systemd || from != "" || len(args) > 0 {
				if err := initConfig(cmd, std, from, args); err != nil {
					return err
				}
			}
			if systemd {
				return initUnit(std)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "make it of the `file` of another process manager")
	cmd.Flags().BoolVar(&systemd, "systemd", false, "also write a unit of systemd")
	return cmd
}

func initConfig(cmd *cobra.Command, std streams, from string, args []string) error {
	text, mode, err := firstConfig(cmd, from, args)
	if err != nil {
		return err
	}
	if err := writeNew(config.FileName, text, mode); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s written; look it over, then: norestart check\n", config.FileName)
	return err
}

// initUnit writes the unit of the cluster that norestart.toml describes.
func initUnit(std streams) error {
	file, err := loadConfig(std.err, config.FileName)
	if err != nil {
		return err
	}
	u := config.Unit{Name: file.Name}
	if u.Dir, err = os.Getwd(); err != nil {
		return err
	}
	if u.Program, err = os.Executable(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		me, err := user.Current()
		if err != nil {
			return err
		}
		u.User = me.Username
	}
	text, err := u.Text()
	if err != nil {
		return err
	}
	path := u.Name + ".service"
	if err := writeNew(path, text, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%[1]s written; as root: cp %[1]s /etc/systemd/system && systemctl enable --now %[2]s\n", path, u.Name)
	return err
}

// firstConfig is the text of a new configuration, with its mode: with variables
// from another file it is as secret as that file.
func firstConfig(cmd *cobra.Command, from string, command []string) (string, fs.FileMode, error) {
	if from == "" {
		here, err := os.Getwd()
		return config.Template(config.NameOf(filepath.Base(here)), command), 0o644, err
	}
	info, err := os.Stat(from)
	if err != nil {
		return "", 0, err
	}
	text, err := importer.Import(cmd.Context(), from)
	return text, info.Mode().Perm() &^ 0o111, err
}

func writeNew(path, text string, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return hint(fmt.Errorf("%s is there already", path), "move it away, or call norestart init in another directory")
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
