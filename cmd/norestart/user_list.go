package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/internal/users"
)

// listing is user list --json.
type listing struct {
	Version int          `json:"version"`
	Users   []listedUser `json:"users"`
}

type listedUser struct {
	Name     string      `json:"name"`
	Role     string      `json:"role"`
	Password string      `json:"password"` // kind of the hash, empty without one
	Keys     []listedKey `json:"keys"`
}

type listedKey struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	Comment     string `json:"comment"`
}

func listCommand(std streams) *cobra.Command {
	var p place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [--json] [--name CLUSTER | --dir DIR]",
		Short: "List the users in users.toml",
		Long: `List the users in users.toml, without their secrets. The administrator that a
program brings along is not in the file.`,
		Args:                  exact(),
		DisableFlagsInUseLine: true,
		RunE:                  func(*cobra.Command, []string) error { return list(std.out, &p, asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one object in JSON")
	p.flags(cmd)
	return cmd
}

func list(w io.Writer, p *place, asJSON bool) error {
	state, err := p.state()
	if err != nil {
		return err
	}
	file, err := users.Read(filepath.Join(state, users.FileName), certs.CheckAuthorizedKey)
	if err != nil {
		return err
	}
	l := listing{Version: 1, Users: []listedUser{}}
	for _, u := range file.Users() {
		listed, err := listUser(u)
		if err != nil {
			return err
		}
		l.Users = append(l.Users, listed)
	}
	if asJSON {
		return json.NewEncoder(w).Encode(l)
	}
	return l.print(w)
}

func listUser(u users.User) (listedUser, error) {
	l := listedUser{Name: u.Name, Role: u.Role, Password: kindOf(u.Password), Keys: []listedKey{}}
	for _, line := range u.Keys {
		key, comment, err := certs.ParseAuthorizedKey(line)
		if err != nil {
			return l, err
		}
		l.Keys = append(l.Keys, listedKey{Type: key.Type(), Fingerprint: certs.Fingerprint(key), Comment: comment})
	}
	return l, nil
}

// kindOf names the kind of a hash that has been checked.
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

func (l listing) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tROLE\tPASSWORD\tKEYS")
	for _, u := range l.Users {
		password := u.Password
		if password == "" {
			password = "none"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\n", u.Name, u.Role, password, len(u.Keys))
	}
	return table.Flush()
}
