package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/users"
)

// The administrator that a first start makes, and the file with the password
// that was made up for it.
const (
	firstUser       = "admin"
	initialPassword = "initial-password"
)

// checkKey knows what a public key is.
var checkKey users.CheckKey = certs.CheckAuthorizedKey

func userCommand(std streams) *cobra.Command {
	cmd := group("user", "Manage who may log in to a cluster")
	cmd.Long = `Manage who may log in to a cluster: the file users.toml in its state directory.

A running cluster takes a change within a second. The cluster is the only one
there is, or the one that --name or --dir names.`
	cmd.AddCommand(addCommand(std), passwdCommand(std), delCommand(std), listCommand(std), keyCommand(std), hashCommand(std))
	return cmd
}

// place is where a cluster is, as flags.
type place struct{ name, dir string }

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.name, "name", "", "name of the cluster")
	cmd.Flags().StringVar(&p.dir, "dir", "", "directory of the cluster (run and state directory in one)")
}

// one refuses two answers to the same question.
func (p *place) one() error {
	if p.name != "" && p.dir != "" {
		return usage(errors.New("--name and --dir exclude each other"))
	}
	return nil
}

// state is the state directory of a cluster that is there.
func (p *place) state() (string, error) {
	if err := p.one(); err != nil {
		return "", err
	}
	d, err := dirs.Find(p.name, p.dir)
	return d.State, err
}

// prepare is the state directory of a cluster that may be new.
func (p *place) prepare() (string, error) {
	if (p.name == "") == (p.dir == "") {
		return p.state()
	}
	d, err := dirs.For(p.name, p.dir)
	return d.State, err
}

// edit changes the users in a state directory. When it changes the first
// administrator, the password that was made up is void, and its file goes.
func edit(state, name string, change func(*users.File) error) error {
	if err := users.Edit(filepath.Join(state, users.FileName), checkKey, change); err != nil {
		return err
	}
	if name != firstUser {
		return nil
	}
	err := os.Remove(filepath.Join(state, initialPassword))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the user is changed, but: %w", err)
	}
	return nil
}

func passwdCommand(std streams) *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:                   "passwd NAME [--name CLUSTER | --dir DIR]",
		Short:                 "Change a user's password",
		Long:                  "Change a user's password.\n\n" + passwordHelp,
		Args:                  exact("NAME"),
		DisableFlagsInUseLine: true,
		RunE:                  func(_ *cobra.Command, args []string) error { return passwd(std, &p, args[0]) },
	}
	p.flags(cmd)
	return cmd
}

func passwd(std streams, p *place, name string) error {
	state, err := p.state()
	if err != nil {
		return err
	}
	// Looked up before anybody types a password for nothing.
	path := filepath.Join(state, users.FileName)
	file, err := users.Read(path, checkKey)
	if err != nil {
		return err
	}
	if _, ok := file.Lookup(name); !ok {
		return hint(fmt.Errorf("no user %s in %s", name, path), "norestart user add %s --role ROLE", name)
	}
	h, err := hash(std)
	if err != nil {
		return err
	}
	if err := edit(state, name, func(f *users.File) error { return f.SetPassword(name, h) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "password of %s changed\n", name)
	return err
}

func delCommand(std streams) *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:                   "del NAME [--name CLUSTER | --dir DIR]",
		Short:                 "Remove a user",
		Args:                  exact("NAME"),
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := p.state()
			if err != nil {
				return err
			}
			if err := edit(state, args[0], func(f *users.File) error { return f.Remove(args[0]) }); err != nil {
				return err
			}
			_, err = fmt.Fprintf(std.out, "user %s removed\n", args[0])
			return err
		},
	}
	p.flags(cmd)
	return cmd
}

const passwordHelp = `The password is asked for twice, without echo, when standard input is a
terminal; otherwise it is one line of standard input.`

func hashCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "hash",
		Short: "Print the hash of a password",
		Long: `Print the hash of a password, for users.toml or the PasswordHash of a program.

` + passwordHelp,
		Args:                  exact(),
		DisableFlagsInUseLine: true,
		RunE: func(*cobra.Command, []string) error {
			h, err := hash(std)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(std.out, h)
			return err
		},
	}
}
