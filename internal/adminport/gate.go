package adminport

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/users"
)

// gate decides, for every way in, who may log in, what they may do, how many may
// come, and what is recorded. It knows no ssh channel, no TLS connection and no
// terminal. A connection asks it, in this order:
//
//	limits.admit                  whether it may come at all: gives its admission
//	admission.login               its turn to log in
//	checkPassword, identify,      who it is: an identity
//	or peerIdentity and still
//	enter                         room among the connections after login
//	still and role                before each command, and every second
//	audit                         what happened
//	admission.release             it has gone
//
// Its methods may be called from any goroutine.
type gate struct {
	users        Users                           // nil: only the admin of passwordHash
	passwordHash string                          // of the user admin; empty: there is no such admin
	verify       func(tls.ConnectionState) error // judges a TLS certificate; nil: no certificates
	write        func(audit.Record) error
	logf         func(format string, args ...any)

	limits  *limits
	failed  *failedLogins
	shares  shares
	hashing chan struct{}     // a token per password that is being checked
	closed  chan audit.Record // connections that were closed at once, for the audit log
}

func newGate(cfg Config, h Host) *gate {
	g := &gate{
		users: h.Users, passwordHash: cfg.PasswordHash, write: h.Audit, logf: h.Log,
		limits:  newLimits(cfg.MaxConnections, cfg.MaxPerSource, cfg.MaxPerUser),
		failed:  newFailedLogins(h.AttemptsFile, h.Log),
		hashing: make(chan struct{}, min(2, runtime.NumCPU())), closed: make(chan audit.Record, 64),
	}
	if h.TLS != nil {
		g.verify = h.TLS.VerifyConnection
	}
	g.resume(h.PenaltiesFile, h.AddressesFile)
	return g
}

// resume reads the penalties of sources and the addresses of logins. Without
// these files the port opens all the same: else whoever damages them could keep
// it shut.
func (g *gate) resume(penaltiesFile, addressesFile string) {
	var once sync.Once
	complain := func(err error) { g.logf("penalties of sources: %v", err) }
	g.limits.complain = func(err error) { once.Do(func() { complain(err) }) }
	var err error
	if g.limits.known, err = openKnownAddresses(addressesFile); err != nil {
		g.logf("addresses of logins: %v", err)
	}
	if penaltiesFile == "" {
		return
	}
	if err := g.limits.resume(penaltiesFile); err != nil {
		complain(err)
	}
}

// reloader is a store of users that reads its file again when it has changed.
type reloader interface {
	Reload() (changed bool, err error)
}

func (g *gate) reloadUsers() {
	r, ok := g.users.(reloader)
	if !ok {
		return
	}
	if _, err := r.Reload(); err != nil {
		g.logf("users: %v", err)
	}
}

// lookup finds a user. The admin of the configuration exists unless users have
// that name.
func (g *gate) lookup(name string) (users.User, bool) {
	if g.users != nil {
		if user, ok := g.users.Lookup(name); ok {
			return user, true
		}
	}
	if name == adminUser && g.passwordHash != "" {
		return users.User{Name: adminUser, Role: commands.Admin.String(), Password: g.passwordHash}, true
	}
	return users.User{}, false
}

// role is what an identity may do now; ok is false if its login no longer holds.
func (g *gate) role(id identity) (role commands.Role, ok bool) {
	user, ok := g.still(id)
	if !ok {
		return commands.NoRole, false
	}
	role, err := commandline.ParseRole(user.Role)
	return role, err == nil
}

// revoked is errRevoked with what has changed.
func (g *gate) revoked(id identity) error { return fmt.Errorf("%w: %s", errRevoked, g.change(id)) }

// change tells why an identity no longer holds.
func (g *gate) change(id identity) string {
	user, ok := g.lookup(id.name)
	switch {
	case !ok:
		return "the user was removed"
	case id.cert != nil:
		if err := g.vouched(id); err != nil {
			return commands.Safe(err.Error())
		}
	case id.peer != nil:
		if err := g.verify(*id.peer); err != nil {
			return commands.Safe(err.Error())
		}
	case id.blob != "":
		return id.keyChange(user.Keys)
	case user.Password == "":
		return "the password was removed"
	case user.Password != id.hash:
		return "the password was changed"
	}
	return "the role was changed" // to none, or the rest back again meanwhile
}

// enter finds room for a user who has proved an identity, and reports whether the
// address is new and should be saved.
func (g *gate) enter(a *admission, name string, addr netip.Addr) (fresh bool, err error) {
	user, _ := g.lookup(name)
	if err := a.loggedIn(name, user.Role == commands.Admin.String()); err != nil {
		return false, err
	}
	return g.limits.known.note(name, addr), nil
}

func (g *gate) saveKnown() {
	there := func(user string) bool { _, ok := g.lookup(user); return ok }
	if err := g.limits.known.save(there); err != nil {
		g.logf("addresses of logins: %v", err)
	}
}

// wrongPassword counts one, for the operator who asks why a source is blocked,
// and for the user of that name.
func (g *gate) wrongPassword(a *admission, user string, from net.Addr) {
	a.tried(audit.Quote(user))
	if _, known := g.lookup(user); known { // strangers invent any number of names
		g.failed.count(user, from.String())
	}
}
