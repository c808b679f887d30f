package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/users"
)

func keyCommand(std streams) *cobra.Command {
	cmd := group("key", "Manage a user's public keys")
	cmd.Long = `Manage a user's public keys in users.toml. A line may have options before the
key, as in authorized_keys (sshd(8)): from, expiry-time, command, restrict,
no-pty. A session that a removed key opened ends within a second.`
	cmd.AddCommand(keyAddCommand(std), keyDelCommand(std), keyListCommand(std))
	return cmd
}

func keyAddCommand(std streams) *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "add NAME FILE|- [--name CLUSTER | --dir DIR]",
		Short: "Add the public keys in a file",
		Long: `Add the public keys in a file, one a line, as in ~/.ssh/authorized_keys; - is
standard input. A key that the user has already is refused.`,
		Example: `  norestart user key add viola ~/.ssh/id_ed25519.pub
  echo 'from="10.0.0.0/8" ssh-ed25519 AAAA… office' | norestart user key add viola -`,
		Args: exact("NAME", "FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return keyAdd(std, &p, args[0], args[1]) },
	}
	p.flags(cmd)
	return cmd
}

func keyAdd(std streams, p *place, name, file string) error {
	lines, err := readKeys(std, file)
	if err != nil {
		return err
	}
	state, err := p.state()
	if err != nil {
		return err
	}
	err = edit(std, state, "", append([]string{"key", "add", name}, fingerprints(lines)...), func(f *users.File) error {
		for _, line := range lines {
			if err := addKey(f, name, line); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%d added to %s\n", len(lines), name)
	return err
}

// addKey refuses a key that is there already. Of two lines with one key the
// first that fits counts, so the new options might have no effect.
func addKey(f *users.File, name, line string) error {
	u, ok := f.Lookup(name)
	if !ok {
		return noUser(name)
	}
	key, err := listKey(line)
	if err != nil {
		return err
	}
	for _, have := range u.Keys {
		if k, err := listKey(have); err == nil && k.Fingerprint == key.Fingerprint {
			return hint(fmt.Errorf("user %s has the key %s already", name, key.Fingerprint), "norestart user key del %s %s", name, key.Fingerprint)
		}
	}
	return f.AddKey(name, line)
}

// exactKey returns the fingerprint of the key that which is, if it is one.
func exactKey(state, name, which string) string {
	f, err := readUsers(state)
	if err != nil {
		return which
	}
	found, err := findKey(f, name, which)
	if err != nil {
		return which
	}
	u, _ := f.Lookup(name)
	return strings.Join(fingerprints(u.Keys[found:found+1]), "")
}

// fingerprints are those of the keys in lines.
func fingerprints(lines []string) []string {
	var all []string
	for _, line := range lines {
		if k, err := listKey(line); err == nil {
			all = append(all, k.Fingerprint)
		}
	}
	return all
}

func noUser(name string) error {
	return hint(fmt.Errorf("no user %s", name), "norestart user list")
}

func keyDelCommand(std streams) *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "del NAME KEY [--name CLUSTER | --dir DIR]",
		Short: "Remove a public key",
		Long: `Remove a public key. KEY is its fingerprint (SHA256:…), its comment or its
number, as "norestart user key list NAME" shows them.`,
		Example: "  norestart user key del viola 'viola at the office'",
		Args:    exact("NAME", "KEY"),
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := p.state()
			if err != nil {
				return err
			}
			if err := edit(std, state, "", []string{"key", "del", args[0], exactKey(state, args[0], args[1])}, func(f *users.File) error {
				found, err := findKey(f, args[0], args[1])
				if err != nil {
					return err
				}
				return f.RemoveKey(args[0], found)
			}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(std.out, "key of %s removed\n", args[0])
			return err
		},
	}
	p.flags(cmd)
	return cmd
}

// findKey returns the index of the one key that which names.
func findKey(f *users.File, name, which string) (int, error) {
	u, ok := f.Lookup(name)
	if !ok {
		return 0, noUser(name)
	}
	if which == "" {
		return 0, commands.Usagef("KEY is empty")
	}
	found := -1
	for i, line := range u.Keys {
		k, err := listKey(line)
		if err != nil {
			return 0, err
		}
		if which != k.Fingerprint && which != k.Comment && which != strconv.Itoa(i+1) {
			continue
		}
		if found >= 0 {
			return 0, hint(fmt.Errorf("%q is more than one key of %s: name its fingerprint or number", which, name), "norestart user key list %s", name)
		}
		found = i
	}
	if found < 0 {
		return 0, hint(fmt.Errorf("user %s has no key %q", name, which), "norestart user key list %s", name)
	}
	return found, nil
}

func keyListCommand(std streams) *cobra.Command {
	var p place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list NAME [--json] [--name CLUSTER | --dir DIR]",
		Short: "List a user's public keys",
		Args:  exact("NAME"),
		RunE:  func(_ *cobra.Command, args []string) error { return keyList(std.out, &p, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one object in JSON")
	p.flags(cmd)
	return cmd
}

func keyList(w io.Writer, p *place, name string, asJSON bool) error {
	file, err := p.users()
	if err != nil {
		return err
	}
	u, ok := file.Lookup(name)
	if !ok {
		return noUser(name)
	}
	listed, err := listUser(u)
	if err != nil {
		return err
	}
	if asJSON {
		return writeList(w, "keys", listed.Keys)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "N\tTYPE\tFINGERPRINT\tCOMMENT\tOPTIONS")
	for i, k := range listed.Keys {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", i+1, k.Type, k.Fingerprint, cmp.Or(k.Comment, "-"), cmp.Or(k.Options, "-"))
	}
	return table.Flush()
}
