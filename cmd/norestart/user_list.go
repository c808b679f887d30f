package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/internal/users"
)

type listedUser struct {
	Name     string      `json:"name"`
	Role     string      `json:"role"`
	Password string      `json:"password"` // kind of the hash, empty without one
	Keys     []listedKey `json:"keys"`
	Allow    []string    `json:"allow"` // empty: all that the role lets the user run
	Deny     []string    `json:"deny"`
}

type listedKey struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	Comment     string `json:"comment"`
	Options     string `json:"options"` // as written before the key
}

func listCommand(std streams) *cobra.Command {
	var p place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [--json] [--name CLUSTER | --dir DIR]",
		Short: "List the users in users.toml",
		Long: `List the users in users.toml, without their secrets. The administrator that a
program brings along is not in the file.`,
		Args: exact(),
		RunE: func(*cobra.Command, []string) error { return list(std.out, &p, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one object in JSON")
	p.flags(cmd)
	return cmd
}

func list(w io.Writer, p *place, asJSON bool) error {
	file, err := p.users()
	if err != nil {
		return err
	}
	var all []listedUser
	for _, u := range file.Users() {
		listed, err := listUser(u)
		if err != nil {
			return err
		}
		all = append(all, listed)
	}
	if asJSON {
		return writeList(w, "users", all)
	}
	return printUsers(w, all)
}

func listUser(u users.User) (listedUser, error) {
	l := listedUser{
		Name: u.Name, Role: u.Role, Password: kindOf(u.Password), Keys: []listedKey{},
		Allow: append([]string{}, u.Allow...), Deny: append([]string{}, u.Deny...),
	}
	for _, line := range u.Keys {
		key, err := listKey(line)
		if err != nil {
			return l, err
		}
		l.Keys = append(l.Keys, key)
	}
	return l, nil
}

func listKey(line string) (listedKey, error) {
	parsed, err := users.ParseKey(line)
	if err != nil {
		return listedKey{}, err
	}
	key, comment, err := certs.ParseAuthorizedKey(parsed.Bare)
	if err != nil {
		return listedKey{}, err
	}
	options := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), parsed.Bare))
	return listedKey{Type: key.Type(), Fingerprint: certs.Fingerprint(key), Comment: comment, Options: options}, nil
}

// kindOf names the kind of a valid hash.
func kindOf(hash string) string {
	switch {
	case hash == "":
		return ""
	case strings.HasPrefix(hash, "$2"):
		return "bcrypt"
	default:
		return "argon2id"
	}
}

func printUsers(w io.Writer, all []listedUser) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tROLE\tPASSWORD\tKEYS\tALLOW\tDENY")
	for _, u := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", u.Name, u.Role, cmp.Or(u.Password, "none"), len(u.Keys), patterns(u.Allow), patterns(u.Deny))
	}
	return table.Flush()
}

// patterns formats a list for a column; a dash: none.
func patterns(list []string) string { return cmp.Or(strings.Join(list, ", "), "-") }
