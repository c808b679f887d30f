package certs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// publicKey reads a line that ssh-keygen has made.
func publicKey(t testing.TB, name string) string {
	t.Helper()
	line, err := os.ReadFile(filepath.Join("testdata", name+".pub"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(line), "\n")
}

func TestParseAuthorizedKey(t *testing.T) {
	for _, test := range []struct{ name, kind string }{
		{"ed25519", "ssh-ed25519"}, {"ecdsa", "ecdsa-sha2-nistp256"}, {"rsa3072", "ssh-rsa"},
	} {
		line := publicKey(t, test.name)
		for _, line := range []string{line, "  " + line + " ", strings.Replace(line, " ", "\t", 1)} {
			key, _, err := ParseAuthorizedKey(line)
			if err != nil || key.Type() != test.kind {
				t.Errorf("%q: %v, %v", line, key, err)
			}
		}
	}
	line := publicKey(t, "ed25519")
	if _, comment, err := ParseAuthorizedKey(line); err != nil || comment != "c ed25519" {
		t.Errorf("comment %q, %v", comment, err)
	}
	bare := strings.TrimSuffix(line, " c ed25519")
	if _, comment, err := ParseAuthorizedKey(bare); err != nil || comment != "" {
		t.Errorf("without comment: %q, %v", comment, err)
	}
}

func TestSecurityKeys(t *testing.T) {
	ed, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Name  string
		Key   []byte
		Where string
	}{ssh.KeyAlgoSKED25519, make([]byte, 32), "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckAuthorizedKey(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(ed)))); err != nil {
		t.Error(err)
	}
}

func TestParseAuthorizedKeyRefuses(t *testing.T) {
	ed, ecdsa := publicKey(t, "ed25519"), publicKey(t, "ecdsa")
	_, blob, _ := strings.Cut(ed, " ")
	for _, test := range []struct{ line, want string }{
		{"", "no key"},
		{"   ", "no key"},
		{"# " + ed, "no key"},
		{"ssh-ed25519", "not a public key"},
		{"ssh-ed25519 AAAA!!", "not a public key"},
		{"hunter2 hunter2", "not a public key"},
		{ed[:60], "not a public key"},
		{publicKey(t, "rsa2048"), "2048 bits is not accepted, must be at least 3072"},
		{publicKey(t, "dsa"), "type ssh-dss is not accepted"},
		{publicKey(t, "ecdsa-cert"), "type ecdsa-sha2-nistp256-cert-v01@openssh.com is not accepted"},
		{"ssh-rsa " + blob, "not a public key"}, // the blob says ssh-ed25519
		{`from="10.0.0.0/8",no-pty ` + ed, `there are options before the key: "from=\"10.0.0.0/8\",no-pty"`},
		{"restrict " + ed, `there are options before the key: "restrict"`},
		{"unknown-option " + ed, "there are options before the key"},
		{ed + "\n" + ecdsa, "more than one line"},
		{ed + "\r", "more than one line"},
		{"-----BEGIN OPENSSH PRIVATE KEY-----", "a private key: name the public one"},
	} {
		err := CheckAuthorizedKey(test.line)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.80q: got %v, want %q", test.line, err, test.want)
		}
	}
}

func FuzzParseAuthorizedKey(f *testing.F) {
	for _, name := range []string{"ed25519", "ecdsa", "ecdsa-cert", "rsa2048", "rsa3072", "dsa"} {
		f.Add(publicKey(f, name))
	}
	f.Add(`from="a b\"c",x ssh-ed25519 AAAA`)
	f.Add("ssh-ed25519\tAAAA\x00\n#")
	f.Fuzz(func(t *testing.T, line string) {
		key, _, err := ParseAuthorizedKey(line)
		if err != nil {
			return
		}
		again, _, err := ParseAuthorizedKey(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
		if err != nil || Fingerprint(again) != Fingerprint(key) {
			t.Errorf("%q is accepted, and not when written anew: %v", line, err)
		}
		if !strings.Contains(line, key.Type()) {
			t.Errorf("%q is a key of type %s", line, key.Type())
		}
	})
}
