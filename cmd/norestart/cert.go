package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/users"
)

func certCommand(std streams) *cobra.Command {
	cmd := group("cert", "Manage the certificates of a cluster's TLS side")
	cmd.Long = `Manage the certificates of a cluster's TLS side: its CA, and the certificates
with which clients log in without a password. A running cluster takes a change
at once; a session that a revoked certificate opened ends within a second.

ssh certificates are made with ssh-keygen, not here; the table [ssh_ca] of
users.toml names the CAs that are trusted.`
	cmd.AddCommand(caCommand(std), issueCommand(std), certListCommand(std), revokeCommand(std))
	return cmd
}

func caCommand(std streams) *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "ca [--name CLUSTER | --dir DIR]",
		Short: "Make the cluster's CA, once",
		Long: `Make the cluster's CA, once: ca.key and ca.crt in its state directory. It signs
the certificate of the server, whose key stays the same, and those of clients.
Give ca.crt to clients that should verify the server.

To use a CA that is elsewhere, put its certificate there as ca.crt instead,
without a key.`,
		Args: exact(),
		RunE: func(*cobra.Command, []string) error {
			state, err := p.state()
			if err != nil {
				return err
			}
			var ca *certs.Authority
			err = recorded(std, state, []string{"cert", "ca"}, func() (err error) {
				ca, err = certs.CreateCA(state, filepath.Base(state))
				return err
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(std.out, "CA made: %s\nkey %s, valid until %s\n",
				ca.CertFile(), certs.TLSFingerprint(ca.Certificate()), day(ca.Certificate().NotAfter))
			return err
		},
	}
	p.flags(cmd)
	return cmd
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// issuing holds the flags of cert issue.
type issuing struct {
	place
	out  string
	days int
}

func issueCommand(std streams) *cobra.Command {
	var i issuing
	cmd := &cobra.Command{
		Use:   "issue USER [--days N] [--out BASE] [--name CLUSTER | --dir DIR]",
		Short: "Make a certificate for a user to log in with",
		Long: `Make a key and a certificate for a user to log in to the TLS side with, without
a password: BASE.key (0600) and BASE.crt. Files that exist are not replaced. The
user's role is the one in users.toml.`,
		Example: "  norestart cert issue viola --days 90",
		Args:    exact("USER"),
		RunE:    func(_ *cobra.Command, args []string) error { return i.run(std, args[0]) },
	}
	cmd.Flags().IntVar(&i.days, "days", 365, "how many days it is valid")
	cmd.Flags().StringVar(&i.out, "out", "", "beginning of the files' names (default: the user's name)")
	i.flags(cmd)
	return cmd
}

func (i *issuing) run(std streams, user string) error {
	if err := users.CheckName(user); err != nil {
		return commands.Usagef("%w", err)
	}
	if i.days < 1 || i.days > 3650 {
		return commands.Usagef("--days %d: must be from 1 to 3650", i.days)
	}
	if i.out == "" {
		i.out = user
	}
	keyFile, certFile := i.out+".key", i.out+".crt"
	for _, file := range []string{keyFile, certFile} {
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("%s is there already: move it away, or name others with --out", file)
		}
	}
	state, err := i.state()
	if err != nil {
		return err
	}
	ca, err := certs.OpenCA(state)
	if errors.Is(err, certs.ErrNoCA) {
		return hint(err, "norestart cert ca")
	}
	if err != nil {
		return err
	}
	file, err := readUsers(state)
	if err != nil {
		return err
	}
	var pair certs.Pair
	err = recorded(std, state, []string{"cert", "issue", user, "--days", strconv.Itoa(i.days)}, func() (err error) {
		pair, err = ca.IssueClient(user, time.Duration(i.days)*24*time.Hour)
		return err
	})
	if err != nil {
		return err
	}
	if err := i.back(); err != nil { // the files go to the caller's own directory
		return err
	}
	if err := errors.Join(durable.CreateFile(keyFile, pair.Key, 0o600), durable.CreateFile(certFile, pair.Cert, 0o644)); err != nil {
		return hint(err, "norestart cert revoke %s", pair.Serial)
	}
	if _, ok := file.Lookup(user); !ok {
		fmt.Fprintf(std.err, "warning: there is no user %s in users.toml: until there is, nobody can log in with the certificate\n", user)
	}
	_, err = fmt.Fprintf(std.out, "%s, %s: serial %s, until %s\n", certFile, keyFile, pair.Serial, day(pair.Expires))
	return err
}

func certListCommand(std streams) *cobra.Command {
	var p place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [--json] [--name CLUSTER | --dir DIR]",
		Short: "List the certificates of clients",
		Args:  exact(),
		RunE: func(*cobra.Command, []string) error {
			state, err := p.state()
			if err != nil {
				return err
			}
			list, err := certs.List(state)
			if err != nil {
				return err
			}
			if asJSON {
				return writeList(std.out, "certificates", list)
			}
			return printCerts(std.out, list, time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one object in JSON")
	p.flags(cmd)
	return cmd
}

func printCerts(w io.Writer, list []certs.Issued, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERIAL\tUSER\tEXPIRES\tSTATE")
	for _, c := range list {
		state, expires := "good", "-"
		if !c.Expires.IsZero() {
			expires = day(c.Expires)
			if now.After(c.Expires) {
				state = "expired"
			}
		}
		if !c.Revoked.IsZero() {
			state = "revoked " + day(c.Revoked)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Serial, cmp.Or(c.User, "-"), expires, state)
	}
	return table.Flush()
}

func revokeCommand(std streams) *cobra.Command {
	var p place
	var user string
	cmd := &cobra.Command{
		Use:   "revoke SERIAL | --user USER [--name CLUSTER | --dir DIR]",
		Short: "Revoke certificates of clients",
		Long: `Revoke the certificate with that serial, as "norestart cert list" shows it, or
all certificates of a user. This cannot be undone: issue another.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if user != "" {
				return exact()(cmd, args)
			}
			return exact("SERIAL")(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := p.state()
			if err != nil {
				return err
			}
			return revoke(std, state, append(args, "")[0], user)
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "all certificates of this user")
	p.flags(cmd)
	return cmd
}

func revoke(std streams, state, serial, user string) error {
	args := []string{"cert", "revoke", serial}
	if user != "" {
		args = []string{"cert", "revoke", "--user", user}
	}
	var marked []certs.Issued
	err := recorded(std, state, args, func() (err error) {
		marked, err = certs.Revoke(state, serial, user)
		return err
	})
	if errors.Is(err, certs.ErrUnknownSerial) {
		if serial == "" {
			err = fmt.Errorf("no certificate was issued here for %s", user)
		}
		return hint(err, "norestart cert list")
	}
	if err != nil {
		return err
	}
	for _, c := range marked {
		if _, err := fmt.Fprintf(std.out, "revoked %s %s\n", c.Serial, cmp.Or(c.User, "-")); err != nil {
			return err
		}
	}
	if len(marked) == 0 {
		_, err = fmt.Fprintln(std.out, "revoked already")
	}
	return err
}
