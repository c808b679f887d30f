package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/client"
	"github.com/norestart/norestart/commands"
)

// hostKey holds the flags of hostkey.
type hostKey struct {
	place
	rotate      string
	asJSON, yes bool
}

func hostkeyCommand(std streams) *cobra.Command {
	var h hostKey
	cmd := &cobra.Command{
		Use:   "hostkey [--json] [--rotate ssh|tls [--yes]] [--name CLUSTER | --dir DIR]",
		Short: "Show the fingerprints of a cluster's keys, or replace one",
		Long: `Show the fingerprints by which clients know a cluster: of its ssh host key, and
of the key of its TLS certificate in the state directory.

With --rotate a new key is made, which a running cluster shows to the next
client; sessions go on. Every client that has seen the old one will report an
attack. The old key is kept beside the new one, in host_key.old or
tls.key.old.`,
		Args: exact(),
		RunE: func(*cobra.Command, []string) error {
			if h.rotate == "" && h.yes {
				return commands.Usagef("--yes is for --rotate")
			}
			state, err := h.state()
			if err != nil {
				return err
			}
			if h.rotate != "" {
				return recorded(std, state, []string{"hostkey", "--rotate", h.rotate}, func() error { return h.replace(std, state) })
			}
			return h.show(std, state)
		},
	}
	cmd.Flags().BoolVar(&h.asJSON, "json", false, "one object in JSON")
	cmd.Flags().StringVar(&h.rotate, "rotate", "", "make a new key: ssh or tls")
	cmd.Flags().BoolVar(&h.yes, "yes", false, "do not ask")
	h.flags(cmd)
	return cmd
}

func (h *hostKey) show(std streams, state string) error {
	key, err := certs.ShownHostKey(state)
	if err != nil {
		return err
	}
	leaf, err := certs.ShownTLS(state)
	if err != nil {
		return err
	}
	ssh, tls := certs.Fingerprint(key), certs.TLSFingerprint(leaf)
	if h.asJSON {
		return json.NewEncoder(std.out).Encode(struct {
			Version int    `json:"version"`
			SSH     string `json:"ssh"`
			TLS     string `json:"tls"`
			Expires string `json:"tls_expires"`
			Issuer  string `json:"tls_issuer"`
		}{1, ssh, tls, leaf.NotAfter.UTC().Format("2006-01-02T15:04:05Z"), leaf.Issuer.CommonName})
	}
	_, err = fmt.Fprintf(std.out, "ssh  %s\ntls  %s  until %s, %s\n", ssh, tls, day(leaf.NotAfter), signer(leaf))
	return err
}

func signer(leaf *x509.Certificate) string {
	if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		return "self-signed"
	}
	return fmt.Sprintf("signed by %q", leaf.Issuer.CommonName)
}

func (h *hostKey) replace(std streams, state string) error {
	if h.rotate != "ssh" && h.rotate != "tls" {
		return commands.Usagef("--rotate %s: must be ssh or tls", h.rotate)
	}
	if err := h.confirm(std); err != nil {
		return err
	}
	if h.rotate == "tls" {
		leaf, err := certs.RotateTLS(state)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(std.out, "tls  %s\na running cluster shows it from now on\n", certs.TLSFingerprint(leaf))
		return err
	}
	key, err := certs.RotateHostKey(state)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "ssh  %s\na running cluster shows it from now on\n", certs.Fingerprint(key))
	return err
}

// confirm asks on a terminal; without one --yes answers.
func (h *hostKey) confirm(std streams) error {
	if h.yes {
		return nil
	}
	person := client.NewPerson(client.NewInput(std.in), std.in, std.err)
	if person == nil {
		return commands.Usagef("--rotate needs --yes when it cannot ask")
	}
	answer, err := person.Line(context.Background(), fmt.Sprintf("Every client that knows the %s key will report an attack. Type %s to go on: ", h.rotate, h.rotate))
	if err != nil {
		return err
	}
	if answer != h.rotate {
		return errors.New("nothing was changed")
	}
	return nil
}
