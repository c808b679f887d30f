package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

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
		Args:                  exact("NAME", "FILE"),
		DisableFlagsInUseLine: true,
		RunE:                  func(_ *cobra.Command, args []string) error { return keyAdd(std, &p, args[0], args[1]) },
	}
	p.flags(cmd)
	return cmd
}

func keyAdd(std streams, p *place, name, file string) error {
	state, err := p.state()
	if err != nil {
		return err
	}
	lines, err := readKeys(std, file)
	if err != nil {
		return err
	}
	err = edit(state, "", func(f *users.File) error {
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

// addKey refuses a key that is there already: of two lines with one key the
// first that fits counts, so that new options would mean nothing.
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
		Example:               "  norestart user key del viola 'viola at the office'",
		Args:                  exact("NAME", "KEY"),
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := p.state()
			if err != nil {
				return err
			}
			if err := edit(state, "", func(f *users.File) error { return delKey(f, args[0], args[1]) }); err != nil {
				return err
			}
			_, err = fmt.Fprintf(std.out, "key of %s removed\n", args[0])
			return err
		},
	}
	p.flags(cmd)
	return cmd
}

// delKey removes the one key that which names.
func delKey(f *users.File, name, which string) error {
	u, ok := f.Lookup(name)
	if !ok {
		return noUser(name)
	}
	if which == "" {
		return usage(errors.New("KEY is empty"))
	}
	found := -1
	for i, line := range u.Keys {
		k, err := listKey(line)
		if err != nil {
			return err
		}
		if which != k.Fingerprint && which != k.Comment && which != strconv.Itoa(i+1) {
			continue
		}
		if found >= 0 {
			return hint(fmt.Errorf("%q is more than one key of %s: name its fingerprint or number", which, name), "norestart user key list %s", name)
		}
		found = i
	}
	if found < 0 {
		return hint(fmt.Errorf("user %s has no key %q", name, which), "norestart user key list %s", name)
	}
	return f.RemoveKey(name, found)
}

func keyListCommand(std streams) *cobra.Command {
	var p place
	var asJSON bool
	cmd := &cobra.Command{
		Use:                   "list NAME [--json] [--name CLUSTER | --dir DIR]",
		Short:                 "List a user's public keys",
		Args:                  exact("NAME"),
		DisableFlagsInUseLine: true,
		RunE:                  func(_ *cobra.Command, args []string) error { return keyList(std.out, &p, args[0], asJSON) },
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
		return json.NewEncoder(w).Encode(struct {
			Version int         `json:"version"`
			Keys    []listedKey `json:"keys"`
		}{1, listed.Keys})
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "N\tTYPE\tFINGERPRINT\tCOMMENT\tOPTIONS")
	for i, k := range listed.Keys {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", i+1, k.Type, k.Fingerprint, orDash(k.Comment), orDash(k.Options))
	}
	return table.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
