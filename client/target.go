package client

import (
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"strings"
	"unicode"
)

// DefaultPort is the port of the admin port.
const DefaultPort = "7777"

// Target says where, and as which user, to log in.
type Target struct{ User, Host, Port string }

// ParseTarget reads [USER@]HOST[:PORT]. An IPv6 address with a port needs
// brackets. Parts that text leaves out are empty, except the port.
func ParseTarget(text string) (Target, error) {
	t := Target{Host: text, Port: DefaultPort}
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		t.User, t.Host = text[:i], text[i+1:]
		if t.User == "" {
			return Target{}, fmt.Errorf("%q: no user before the @", text)
		}
	}
	if err := t.splitPort(); err != nil {
		return Target{}, fmt.Errorf("%q: %w", text, err)
	}
	return t, t.check()
}

func (t *Target) splitPort() error {
	if inner, ok := strings.CutPrefix(t.Host, "["); ok && strings.HasSuffix(inner, "]") {
		t.Host = inner[:len(inner)-1]
		return nil
	}
	if strings.Count(t.Host, ":") > 1 && t.Host[0] != '[' { // a bare IPv6 address
		return nil
	}
	if !strings.Contains(t.Host, ":") {
		return nil
	}
	host, port, err := net.SplitHostPort(t.Host)
	if err != nil {
		return errors.New("must be [USER@]HOST[:PORT]")
	}
	t.Host, t.Port = host, port
	return nil
}

// SetPort sets the port, for a flag of its own.
func (t *Target) SetPort(port string) error {
	t.Port = port
	return t.check()
}

// check refuses text that cannot be a host or would break a line of known_hosts.
func (t *Target) check() error {
	if t.Host == "" || strings.HasPrefix(t.Host, "-") {
		return fmt.Errorf("no host %q", t.Host)
	}
	if strings.ContainsFunc(t.Host+t.User, odd) {
		return fmt.Errorf("%q: neither a host nor a user has such characters", t.String())
	}
	if n, err := strconv.ParseUint(t.Port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("no port %q: 1 to 65535", t.Port)
	}
	return nil
}

func odd(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(",*?!#|", r)
}

// LocalUser returns the user of this process, the default for a login, as with
// ssh.
func LocalUser() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("%w: name a user, as in admin@HOST", err)
	}
	return u.Username, nil
}

// Addr returns HOST:PORT for net.Dial.
func (t Target) Addr() string { return net.JoinHostPort(t.Host, t.Port) }

func (t Target) String() string {
	if t.User == "" {
		return t.Addr()
	}
	return t.User + "@" + t.Addr()
}
