package shell

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/users"
)

// Config is what an application says about its admin port. The zero value is
// closed: it listens on loopback and nobody can log in.
type Config struct {
	Host string // address to listen on; empty: 127.0.0.1
	Port int    // 0: 7777; -1: any free port

	// User and Group are whom the shell worker runs as, by name or number, as in
	// a pool: only a cluster of root's can have them. It then reads its keys and
	// users through the primary and may enter no more of the state directory
	// than what is its own. Empty: it runs as the primary does.
	User, Group string

	// PasswordHash lets the user admin log in, role admin: argon2id in PHC
	// form or bcrypt, as `norestart user hash` prints it. A user admin of
	// Host.Users replaces it.
	PasswordHash string
	// TLSUser is who logs in by password in the TLS line shell; empty: admin.
	TLSUser string
	// TLSCert and TLSKey, both or none, are files in PEM form: one's own
	// certificate, read again when it changes. None: one is made and renewed in
	// the state directory.
	TLSCert, TLSKey string
	// TLSNames are the names and addresses for which that one is made, beside
	// Host.
	TLSNames []string
	// Commands are the application's own. They start no programs: the kernel
	// refuses that to a shell worker. What needs one is a handler of a pool,
	// asked by Call.
	Commands []commands.Command

	HelloTimeout      time.Duration // until the client has said what it speaks; 0: 10 s
	LoginTimeout      time.Duration // from accept to login; 0: 30 s
	NoChannelTimeout  time.Duration // logged in without a session; 0: 60 s
	IdleTimeout       time.Duration // no key at the prompt; 0: 15 min
	StallTimeout      time.Duration // a client that does not read its output; 0: 60 s
	KeepaliveInterval time.Duration // the third unanswered one closes; 0: 15 s

	MaxConnections int // at the same time; 0: 100
	// MaxPerSource is how many connections of one source (an IPv4 address or
	// an IPv6 /64) may be logging in at the same time; three times as many
	// wait for their turn, more are closed. 0: 10.
	MaxPerSource int
	MaxSessions  int // of one connection; 0: 10
}

// Addr is the address to listen on, as net.Listen takes it.
func (c Config) Addr() string {
	host, port := c.Host, c.Port
	if host == "" {
		host = "127.0.0.1"
	}
	switch {
	case port == 0:
		port = 7777
	case port < 0:
		port = 0
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.HelloTimeout, 10 * time.Second},
		{&c.LoginTimeout, 30 * time.Second},
		{&c.NoChannelTimeout, time.Minute},
		{&c.IdleTimeout, 15 * time.Minute},
		{&c.StallTimeout, time.Minute},
		{&c.KeepaliveInterval, 15 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&c.MaxConnections, 100}, {&c.MaxPerSource, 10}, {&c.MaxSessions, 10}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.TLSUser == "" {
		c.TLSUser = adminUser
	}
	return c
}

// adminUser is whom Config.PasswordHash lets in.
const adminUser = "admin"

// Host is where the shell runs: what the process around it provides.
type Host struct {
	Name    string // of the cluster, shown in the prompt
	Version string // of norestart, shown in the greeting and by version

	// HostKey is asked for each connection, so that a new key is shown at once;
	// an ed25519 key is best.
	HostKey func() gossh.Signer
	// TLS is the server's certificate. It should demand TLS 1.3 and have
	// session tickets off; New sets both. Nil: no TLS line shell. Clients are
	// asked for a certificate if its ClientAuth says so and VerifyConnection
	// is there to judge it: at the handshake and, for the sessions that it
	// opened, every second and before each command. GetConfigForClient is not
	// used.
	TLS *tls.Config
	// Users is who may log in beside Config.PasswordHash; nil: nobody.
	Users Users
	// Control gives the cluster in the name of a user.
	Control func(user string) control.Control
	// History is the directory in which the lines that each user typed are
	// kept; empty: they last as long as the process.
	History string
	// Local brings the conversations of `norestart ctl`; may be nil.
	Local <-chan LocalCall
	// Audit appends one record. It is called from many goroutines. An error
	// means that the record could not be written.
	Audit func(Record) error
	// AttemptsFile is where failed logins are counted until their user has been
	// told; empty: they are counted until the process ends.
	AttemptsFile string
	// PenaltiesFile keeps what is held against sources, so that a killed process
	// is no fresh start for who guesses passwords; empty: it is forgotten.
	PenaltiesFile string
	// Log takes a line for the worker's log; nil: dropped.
	Log func(format string, args ...any)
}

// Users finds users by name. Lookup is called at login, before each command
// and every second for each session, so it should answer from memory.
//
// When the value also has a method Reload() (changed bool, err error), it is
// called every second.
type Users interface {
	Lookup(name string) (users.User, bool)
}

// LocalCall is one command of a local caller, whom the kernel vouches for
// (SO_PEERCRED). It runs with the role admin.
type LocalCall interface {
	User() string   // for the audit log: "ctl uid=0 pid=4711"
	Args() []string // the words of the command
	Stdin() io.Reader
	Stdout() io.Writer
	Stderr() io.Writer
	// Context ends when the caller has gone. Its cause is
	// [commands.ErrHangup] unless the caller cancelled on purpose.
	Context() context.Context
	// Exit tells the caller the status and ends the conversation. It is
	// called once.
	Exit(status int) error
}
