package inherit

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
)

// Listen is an address to listen on.
type Listen struct {
	Name string         // what the program calls it; may be empty
	TCP  netip.AddrPort // with Path empty; port 0: any free one
	Path string         // of a unix socket, absolute and clean
}

// String is the form that Parse reads.
func (l Listen) String() string {
	if l.Name == "" {
		return l.address()
	}
	return l.Name + "=" + l.address()
}

func (l Listen) address() string {
	if l.Path != "" {
		return "unix://" + l.Path
	}
	return "tcp://" + l.TCP.String()
}

// NameIn is how the workers of a pool ask for the address i of theirs: its name, or
// the pool's, with a number from the second on.
func (l Listen) NameIn(pool string, i int) string {
	switch {
	case l.Name != "":
		return l.Name
	case i == 0:
		return pool
	}
	return fmt.Sprintf("%s-%d", pool, i+1)
}

// maxPath is PATH_MAX without its zero (limits.h), maxName NAME_MAX.
const (
	maxPath = 4095
	maxName = 255
)

// Parse reads "tcp://127.0.0.1:8080", "tcp://[::1]:0", "tcp://:8080" (every
// address of the machine) or "unix:///run/app.sock", each with an optional
// "NAME=" before it. Host names are refused: what they mean may change between
// two starts. NAME is made of up to 64 letters, digits, '-', '_' and '.'.
func Parse(s string) (Listen, error) {
	l, err := parse(s)
	if err != nil {
		return Listen{}, fmt.Errorf("listen %.200q: %w", s, err)
	}
	return l, nil
}

func parse(s string) (l Listen, err error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return l, errors.New(`want "tcp://ADDRESS:PORT" or "unix:///PATH"`)
	}
	if name, after, named := strings.Cut(scheme, "="); named {
		if !goodName(name) {
			return l, fmt.Errorf("bad name %.80q, want letters, digits, '-', '_' and '.'", name)
		}
		l.Name, scheme = name, after
	}
	switch scheme {
	case "tcp":
		l.TCP, err = parseTCP(rest)
	case "unix":
		l.Path, err = parsePath(rest)
	default:
		err = fmt.Errorf("unknown scheme %.20q, want tcp or unix", scheme)
	}
	return l, err
}

func goodName(name string) bool {
	bad := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", r)
	}
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, bad)
}

func parseTCP(s string) (netip.AddrPort, error) {
	if port, ok := strings.CutPrefix(s, ":"); ok {
		s = "[::]:" + port
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf(`want an IP address and a port, as in "127.0.0.1:8080" or "[::1]:8080"`)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

func parsePath(s string) (string, error) {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "", errors.New(`want an absolute path, as in "unix:///run/app.sock"`)
	case strings.IndexByte(s, 0) >= 0:
		return "", errors.New("path holds a zero byte")
	case strings.HasSuffix(s, "/"), strings.HasSuffix(s, "/."), strings.HasSuffix(s, "/.."):
		return "", errors.New("path names a directory")
	}
	s = path.Clean(s)
	if len(s) > maxPath || len(path.Base(s)) > maxName {
		return "", errors.New("path is too long")
	}
	return s, nil
}
