package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/norestart/norestart/certs"
)

// TrustError says that a server is not, or no longer, trusted. Another try does
// not help.
type TrustError struct {
	Message string
	Hint    string // what to do
}

func (e *TrustError) Error() string { return e.Message }

// knownHosts are the servers that were trusted before, in the format of
// sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
type knownHosts struct {
	path   string
	person *Person // nil: nobody to ask
	// hold suspends the deadline of the login while the person thinks.
	hold func(func() error) error
}

// check is a host key callback.
func (k knownHosts) check(ctx context.Context, addr string, remote net.Addr, key ssh.PublicKey) error {
	known, err := k.load()
	if err != nil {
		return err
	}
	err = known(addr, remote, key)
	unknown, ok := errors.AsType[*knownhosts.KeyError](err)
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*knownhosts.RevokedError)):
		return &TrustError{Message: fmt.Sprintf("the host key of %s is revoked in %s", knownhosts.Normalize(addr), k.path)}
	case !ok:
		return err
	case len(unknown.Want) > 0:
		return k.changed(addr, key, unknown.Want)
	case k.person == nil:
		return k.unknown(addr, key)
	}
	return k.hold(func() error { return k.ask(ctx, addr, key) })
}

// load reads the file each time, because a first login may have added to it.
func (k knownHosts) load() (ssh.HostKeyCallback, error) {
	known, err := knownhosts.New(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return knownhosts.New()
	}
	if err != nil {
		return nil, &TrustError{Message: fmt.Sprintf("known hosts: %v", err), Hint: "correct or remove that line"}
	}
	return known, nil
}

func (k knownHosts) unknown(addr string, key ssh.PublicKey) error {
	host := knownhosts.Normalize(addr)
	return &TrustError{
		Message: fmt.Sprintf("the host key of %s is not known (%s) and there is no terminal to ask at", host, certs.Fingerprint(key)),
		Hint:    fmt.Sprintf("log in once on a terminal, or: %s >> %s, or name a file with --known-hosts", keyscan(addr), k.path),
	}
}

func keyscan(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "ssh-keyscan " + addr
	}
	return fmt.Sprintf("ssh-keyscan -t ed25519 -p %s %s", port, host)
}

func (k knownHosts) changed(addr string, key ssh.PublicKey, want []knownhosts.KnownKey) error {
	host := knownhosts.Normalize(addr)
	old := want[0]
	return &TrustError{
		Message: fmt.Sprintf("WARNING: the host key of %s has CHANGED: %s:%d has %s, the server %s: somebody may be listening in",
			host, old.Filename, old.Line, certs.Fingerprint(old.Key), certs.Fingerprint(key)),
		Hint: fmt.Sprintf("only if you know why it changed: ssh-keygen -R '%s' -f %s", host, old.Filename),
	}
}

// ask lets a person decide, with the words of ssh.
func (k knownHosts) ask(ctx context.Context, addr string, key ssh.PublicKey) error {
	host, print := knownhosts.Normalize(addr), certs.Fingerprint(key)
	kind := strings.ToUpper(strings.TrimPrefix(key.Type(), "ssh-"))
	if err := trust(ctx, k.person, host, kind+" key fingerprint", print); err != nil {
		return err
	}
	line := knownhosts.Line([]string{host}, key)
	if err := remember(k.path, line); err != nil {
		return fmt.Errorf("known hosts: %w", err)
	}
	fmt.Fprintf(k.person.out, "Added %s (%s) to %s.\n", host, kind, k.path)
	return nil
}

// trust asks whether the server with that fingerprint is the right one. The
// person may also paste a fingerprint known from elsewhere.
func trust(ctx context.Context, p *Person, host, what, print string) error {
	fmt.Fprintf(p.out, "The authenticity of host '%s' can't be established.\n%s is %s.\n", host, what, print)
	prompt := "Are you sure you want to continue connecting (yes/no/[fingerprint])? "
	for {
		answer, err := p.Line(ctx, prompt)
		if err != nil {
			return err
		}
		switch answer = strings.TrimSpace(answer); {
		case strings.EqualFold(answer, "yes"), answer == print:
			return nil
		case strings.EqualFold(answer, "no"):
			return &TrustError{Message: "host key not accepted"}
		}
		prompt = "Please type 'yes', 'no' or the fingerprint: "
	}
}

// remember appends a line to a file and makes the file when it is missing.
func remember(path, line string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text := []byte(line + "\n")
	if unended(f) {
		text = append([]byte("\n"), text...)
	}
	_, err = f.Write(text)
	return err
}

// unended reports whether the last line of f has no line feed.
func unended(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && !bytes.Equal(last, []byte("\n"))
}
