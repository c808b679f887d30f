package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/users"
)

// maxKeyFile is the size in bytes above which a file of keys is refused.
const maxKeyFile = 1 << 20

// addition holds the flags of user add.
type addition struct {
	place
	name       string
	role       string
	keys       []string // files
	noPassword bool
	force      bool

	allow, deny []string
}

func addCommand(std streams) *cobra.Command {
	var a addition
	cmd := &cobra.Command{
		Use:   "add NAME --role ROLE [--key FILE|-]… [--no-password] [--force] [--allow PATTERN]… [--deny PATTERN]… [--name CLUSTER | --dir DIR]",
		Short: "Add a user",
		Long: `Add a user.

` + passwordHelp + `

Roles: viewer (looks), operator (changes the pools), admin (everything). A file
of keys has one public key a line, as in ~/.ssh/authorized_keys; - is standard
input. With --name or --dir the cluster need not have been started yet.

Of the commands that the role allows, --allow leaves only those that it names, and
--deny takes away those that it names: "worker info *", "scale web *", "stop". A
word * stands for any words; flags are not counted.`,
		Example: `  norestart user add viola --role operator
  norestart user add ci --role viewer --key ci.pub --no-password
  norestart user add deploy --role operator --key deploy.pub --no-password --allow "reload web"`,
		Args: exact("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			a.name = args[0]
			return a.run(std)
		},
	}
	cmd.Flags().StringVar(&a.role, "role", "", "viewer, operator or admin")
	cmd.Flags().StringArrayVar(&a.keys, "key", nil, "file of public keys; may be repeated")
	cmd.Flags().BoolVar(&a.noPassword, "no-password", false, "log in by key only")
	cmd.Flags().StringArrayVar(&a.allow, "allow", nil, "the only commands that the user may run; may be repeated")
	cmd.Flags().StringArrayVar(&a.deny, "deny", nil, "commands that the user may not run; may be repeated")
	forceFlag(cmd, &a.force)
	a.flags(cmd)
	return cmd
}

func (a *addition) run(std streams) error {
	if err := a.check(); err != nil {
		return commands.Usagef("%w", err)
	}
	user := users.User{Name: a.name, Role: a.role, Allow: a.allow, Deny: a.deny}
	for _, name := range a.keys {
		keys, err := readKeys(std, name)
		if err != nil {
			return err
		}
		user.Keys = append(user.Keys, keys...)
	}
	state, err := a.prepare()
	if err != nil {
		return err
	}
	if err := a.vacant(state); err != nil {
		return err
	}
	if !a.noPassword {
		if user.Password, err = hash(std, a.force); err != nil {
			return err
		}
	}
	// A user who was removed from the file by hand may have left a history.
	if err := users.ForgetHistory(state, a.name); err != nil {
		return fmt.Errorf("what a former user %s typed: %w; nothing was changed", a.name, err)
	}
	if err := edit(std, state, a.name, a.words(user), func(f *users.File) error { return f.Add(user) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "user %s added, %s\n", a.name, a.role)
	return err
}

// words describe the addition for the audit log.
func (a *addition) words(user users.User) []string {
	words := append([]string{"add", a.name, "--role", a.role}, fingerprints(user.Keys)...)
	if a.noPassword {
		words = append(words, "--no-password")
	}
	for _, p := range a.allow {
		words = append(words, "--allow", p)
	}
	for _, p := range a.deny {
		words = append(words, "--deny", p)
	}
	return words
}

// check reports what is wrong with the command line.
func (a *addition) check() error {
	if err := users.CheckName(a.name); err != nil {
		return err
	}
	if a.role == "" {
		return errors.New("--role is missing")
	}
	if err := users.CheckRole(a.role); err != nil {
		return err
	}
	if err := users.CheckPatterns(a.allow); err != nil {
		return fmt.Errorf("--allow: %w", err)
	}
	if err := users.CheckPatterns(a.deny); err != nil {
		return fmt.Errorf("--deny: %w", err)
	}
	switch {
	case a.noPassword && len(a.keys) == 0:
		return errors.New("--no-password without --key: the user could not log in")
	case !a.noPassword && slices.Contains(a.keys, "-"):
		return errors.New("--key - needs --no-password: standard input cannot be both")
	}
	return nil
}

// vacant refuses a name that is taken, before a password is typed in vain.
func (a *addition) vacant(state string) error {
	file, err := readUsers(state)
	if err != nil {
		return err
	}
	if _, ok := file.Lookup(a.name); ok {
		return hint(fmt.Errorf("user %s exists already in %s", a.name, usersFile(state)), "norestart user passwd %s", a.name)
	}
	return nil
}

// readKeys returns the lines of a file that are not blank or comments. Each
// must be a key.
func readKeys(std streams, name string) (keys []string, err error) {
	f, done, err := open(std, name)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer func() { err = errors.Join(err, done()) }()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("read keys: %s: larger than %d bytes", name, maxKeyFile)
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := checkKey.Line(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		keys = append(keys, line)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read keys: no key in %s", name)
	}
	return keys, nil
}
