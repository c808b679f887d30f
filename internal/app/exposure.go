package app

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/internal/users"
)

// warnOfExposure warns at the start if the admin port can be reached from
// elsewhere and passwords can be guessed there.
func (app App) warnOfExposure(state, admin string, out io.Writer) error {
	if onLoopback(admin) {
		return nil
	}
	f, err := users.Read(filepath.Join(state, users.FileName), certs.CheckAuthorizedKey)
	if err != nil {
		return err
	}
	var names []string
	for _, u := range f.Users() {
		if u.Password != "" {
			names = append(names, u.Name)
		}
	}
	if _, replaced := f.Lookup("admin"); app.Shell.PasswordHash != "" && !replaced {
		names = append(names, "admin")
	}
	if len(names) == 0 {
		return nil
	}
	_, err = fmt.Fprintf(out, "%s: warning: the admin port listens on %s and can be reached from elsewhere, and %s can log in by password: give them keys, or let it listen on 127.0.0.1\n",
		app.Name, admin, strings.Join(names, ", "))
	return err
}

// onLoopback reports whether an address HOST:PORT is reached only from this
// machine. A name may mean any address.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
