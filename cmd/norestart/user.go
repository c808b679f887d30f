package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

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

// users reads the users of a cluster that is there.
func (p *place) users() (*users.File, error) {
	state, err := p.state()
	if err != nil {
		return nil, err
	}
	return readUsers(state)
}

func readUsers(state string) (*users.File, error) { return users.Read(usersFile(state), checkKey) }

func usersFile(state string) string { return filepath.Join(state, users.FileName) }

// edit changes the users in a state directory. When it changes the first
// administrator, the password that was made up is void, and its file goes.
func edit(state, name string, change func(*users.File) error) error {
	if err := users.Edit(usersFile(state), checkKey, change); err != nil {
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
	file, err := readUsers(state)
	if err != nil {
		return err
	}
	if _, ok := file.Lookup(name); !ok {
		return hint(fmt.Errorf("no user %s in %s", name, usersFile(state)), "norestart user add %s --role ROLE", name)
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
		Use:   "del NAME [--name CLUSTER | --dir DIR]",
		Short: "Remove a user",
		Long: `Remove a user, and the lines that he typed at a prompt. His sessions end within
a second.`,
		Args:                  exact("NAME"),
		DisableFlagsInUseLine: true,
		RunE:                  func(_ *cobra.Command, args []string) error { return del(std, &p, args[0]) },
	}
	p.flags(cmd)
	return cmd
}

// del removes what made the user one first: from then on there is no way in,
// whatever becomes of the rest.
func del(std streams, p *place, name string) error {
	state, err := p.state()
	if err != nil {
		return err
	}
	if err := edit(state, name, func(f *users.File) error { return f.Remove(name) }); err != nil {
		return err
	}
	if err := users.ForgetHistory(filepath.Join(state, users.HistoryDir), name); err != nil {
		return fmt.Errorf("user %s is removed, but not what he typed: %w", name, err)
	}
	warnOfCerts(std, state, name)
	_, err = fmt.Fprintf(std.out, "user %s removed\n", name)
	return err
}

// warnOfCerts tells of certificates that would be good for another user of the
// same name.
func warnOfCerts(std streams, state, name string) {
	list, err := certs.List(state)
	if err != nil {
		fmt.Fprintf(std.err, "warning: certificates of %s: %v\n", name, err)
	}
	for _, c := range list {
		if c.User == name && c.Revoked.IsZero() && time.Now().Before(c.Expires) {
			fmt.Fprintf(std.err, "warning: a certificate of %s would let in who gets that name: norestart cert revoke --user %s\n", name, name)
			return
		}
	}
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
