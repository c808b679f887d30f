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
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/users"
)

// The first administrator, and the file with its generated password.
const (
	firstUser       = "admin"
	initialPassword = "initial-password"
)

// checkKey judges public keys.
var checkKey users.CheckKey = certs.CheckAuthorizedKey

func userCommand(std streams) *cobra.Command {
	cmd := group("user", "Manage the users of a cluster")
	cmd.Long = `Manage the users of a cluster: the file users.toml in its state directory.

A running cluster takes a change within a second. If there are several clusters,
name one with --name or --dir.`
	cmd.AddCommand(addCommand(std), passwdCommand(std), delCommand(std), listCommand(std), keyCommand(std), hashCommand(std))
	return cmd
}

// place names a cluster by its flags.
type place struct {
	name, dir string
	// back ends the change of actAs; nil: there was none.
	back func() error
}

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.name, "name", "", "name of the cluster")
	cmd.Flags().StringVar(&p.dir, "dir", "", "directory of the cluster, where it was started with --dir")
}

// find finds an existing cluster.
func (p *place) find() (dirs.Dirs, error) {
	if p.name != "" && p.dir != "" {
		return dirs.Dirs{}, commands.Usagef("--name and --dir exclude each other")
	}
	return dirs.Find(p.name, p.dir)
}

// state returns the state directory of an existing cluster. From then on root
// has only the rights of the directory's owner.
func (p *place) state() (string, error) {
	d, err := p.find()
	return p.enter(d, err)
}

// prepare returns the state directory of a cluster that may be new.
func (p *place) prepare() (string, error) {
	if (p.name == "") == (p.dir == "") {
		return p.state()
	}
	d, err := dirs.For(p.name, p.dir)
	return p.enter(d, err)
}

// enter takes on the rights of the owner of the state directory.
func (p *place) enter(d dirs.Dirs, err error) (string, error) {
	if err != nil {
		return "", err
	}
	state, back, err := actAs(d.State)
	p.back = back
	return state, err
}

// users reads the users of an existing cluster.
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
// administrator, the generated password is void, and its file is removed.
func edit(std streams, state, name string, args []string, change func(*users.File) error) error {
	err := recorded(std, state, append([]string{"user"}, args...), func() error {
		return users.Edit(usersFile(state), checkKey, change)
	})
	if err != nil {
		return err
	}
	if name != firstUser {
		return nil
	}
	err = os.Remove(filepath.Join(state, initialPassword))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the user is changed, but: %w", err)
	}
	return nil
}

func passwdCommand(std streams) *cobra.Command {
	var p place
	var force bool
	cmd := &cobra.Command{
		Use:   "passwd NAME [--force] [--name CLUSTER | --dir DIR]",
		Short: "Change a user's password",
		Long:  "Change a user's password.\n\n" + passwordHelp,
		Args:  exact("NAME"),
		RunE:  func(_ *cobra.Command, args []string) error { return passwd(std, &p, args[0], force) },
	}
	forceFlag(cmd, &force)
	p.flags(cmd)
	return cmd
}

func passwd(std streams, p *place, name string, force bool) error {
	state, err := p.state()
	if err != nil {
		return err
	}
	// Checked first, so that no password is typed in vain.
	file, err := readUsers(state)
	if err != nil {
		return err
	}
	if _, ok := file.Lookup(name); !ok {
		return hint(fmt.Errorf("no user %s in %s", name, usersFile(state)), "norestart user add %s --role ROLE", name)
	}
	h, err := hash(std, force)
	if err != nil {
		return err
	}
	if err := edit(std, state, name, []string{"passwd", name}, func(f *users.File) error { return f.SetPassword(name, h) }); err != nil {
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
		Long: `Remove a user, and the lines that were typed in that name at a prompt. Sessions
of the user end within a second.`,
		Args: exact("NAME"),
		RunE: func(_ *cobra.Command, args []string) error { return del(std, &p, args[0]) },
	}
	p.flags(cmd)
	return cmd
}

// del first removes the entry itself: after that the user cannot log in, even
// if a later step fails.
func del(std streams, p *place, name string) error {
	state, err := p.state()
	if err != nil {
		return err
	}
	if err := edit(std, state, name, []string{"del", name}, func(f *users.File) error { return f.Remove(name) }); err != nil {
		return err
	}
	if err := users.ForgetHistory(state, name); err != nil {
		return fmt.Errorf("user %s is removed, but the history is not: %w", name, err)
	}
	warnOfCerts(std, state, name)
	_, err = fmt.Fprintf(std.out, "user %s removed\n", name)
	return err
}

// warnOfCerts lists the certificates that would be valid for a new user of the
// same name.
func warnOfCerts(std streams, state, name string) {
	list, err := certs.List(state)
	if err != nil {
		fmt.Fprintf(std.err, "warning: certificates of %s: %v\n", name, err)
	}
	for _, c := range list {
		if c.User == name && c.Revoked.IsZero() && time.Now().Before(c.Expires) {
			fmt.Fprintf(std.err, "warning: a certificate of %s would let in a new user of that name: norestart cert revoke --user %s\n", name, name)
			return
		}
	}
}

const passwordHelp = `The password is asked for twice, without echo, when standard input is a
terminal; otherwise it is one line of standard input. It must have 8 characters,
unless --force is given.`

func forceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "accept a password of less than 8 characters")
}

func hashCommand(std streams) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "hash [--force]",
		Short: "Print the hash of a password",
		Long: `Print the hash of a password, for users.toml or the PasswordHash of a program.

` + passwordHelp,
		Args: exact(),
		RunE: func(*cobra.Command, []string) error {
			h, err := hash(std, force)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(std.out, h)
			return err
		},
	}
	forceFlag(cmd, &force)
	return cmd
}
