package shell

import (
	"time"

	"github.com/norestart/norestart/commands"
)

// Config is what an application says about its admin port. The zero value is
// closed: it listens on loopback and no user can log in.
type Config struct {
	Host string // address to listen on; empty: 127.0.0.1
	Port int    // 0: 7777; -1: any free port

	// User and Group are what the shell worker runs as, by name or number; only a
	// cluster that root has started can have them. It then gets its keys and the
	// users through the primary, and may enter only its own part of the state
	// directory. Empty: it runs as the primary does.
	User, Group string

	// PasswordHash lets the user admin log in, role admin: argon2id in PHC
	// form or bcrypt, as `norestart user hash` prints it. A user admin
	// in users.toml replaces it.
	PasswordHash string
	// TLSUser is the user that a password of the TLS line shell is compared with;
	// empty: admin.
	TLSUser string
	// TLSCert and TLSKey are files in PEM form with a certificate of your own and its
	// key, read again when they change. Empty: norestart makes a certificate in the
	// state directory, and renews it.
	TLSCert, TLSKey string
	// TLSNames are names and addresses, beside Host, for which norestart makes its
	// certificate.
	TLSNames []string
	// Commands are the application's own. They cannot start programs: the kernel
	// refuses that to a shell worker (seccomp(2)). Let a handler of a pool do it,
	// which a command asks by a [control.CallRequest].
	Commands []commands.Command `json:"-"`

	HelloTimeout      time.Duration // until the client has said what it speaks; 0: 10 s
	LoginTimeout      time.Duration // from accept to login; 0: 30 s
	NoChannelTimeout  time.Duration // logged in without a session; 0: 60 s
	IdleTimeout       time.Duration // no key at the prompt; 0: 15 min
	StallTimeout      time.Duration // a client that does not read its output; 0: 60 s
	KeepaliveInterval time.Duration // the third unanswered one closes; 0: 15 s

	// MaxConnections are open at the same time; a tenth of them, one at least, is
	// kept for logins in hand. 0: 100.
	MaxConnections int
	// MaxPerSource is how many connections of one source (an IPv4 address or
	// an IPv6 /64) may be logging in at the same time; three times as many
	// wait for their turn, more are closed. 0: 10.
	MaxPerSource int
	// MaxPerUser is how many connections one user may have after login. One more
	// ends the one that has been idle for longest. 0: a quarter of MaxConnections.
	MaxPerUser  int
	MaxSessions int // of one connection; 0: 10
}
