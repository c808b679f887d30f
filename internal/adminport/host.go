package adminport

import (
	"context"
	"crypto/tls"
	"io"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/users"
	"github.com/norestart/norestart/shell"
)

// Config is what the application says about the admin port.
type Config = shell.Config

// Host is what the process around the shell provides.
type Host struct {
	Name    string // of the cluster, shown in the prompt
	Version string // of norestart, shown by version
	// AppVersion is the application's own version, shown in the greeting; may be
	// empty.
	AppVersion string

	// HostKey is called for each connection, so that a new key is shown at once;
	// it should be ed25519.
	HostKey func() gossh.Signer
	// TLS is the server's certificate. New sets TLS 1.3 and switches session
	// tickets off. Nil: no TLS line shell. Clients are asked for a certificate if
	// ClientAuth says so and there is a VerifyConnection: it judges them at the
	// handshake, every second while their sessions last, and before each command.
	// GetConfigForClient is not used.
	TLS *tls.Config
	// Users may log in beside Config.PasswordHash; nil: there are none.
	Users Users
	// Control gives the cluster in the name of a user.
	Control func(user string) control.Control
	// History is the directory of the lines that each user typed; empty: they are
	// kept in memory.
	History string
	// Local waits for the next command of `norestart ctl`, until stop ends; may be
	// nil.
	Local func(stop context.Context) (call LocalCall, ok bool)
	// Audit appends one record. It is called from many goroutines. An error
	// means that the record could not be written.
	Audit func(audit.Record) error
	// ReadAudit reads what Audit wrote; nil: this process may not.
	ReadAudit commandline.ReadAudit
	// AttemptsFile counts failed logins until their user has been told; empty: in
	// memory.
	AttemptsFile string
	// PenaltiesFile keeps penalties of sources, so that killing the process does
	// not help a guesser of passwords; empty: in memory.
	PenaltiesFile string
	// AddressesFile keeps the addresses from which users logged in: from there a
	// key lets in while the source is blocked. Empty: in memory.
	AddressesFile string
	// Log takes a line for the worker's log; nil: dropped.
	Log func(format string, args ...any)
}

// Users finds users by name. Lookup is called at login, before each command and
// every second for each session, so it should answer from memory.
//
// If the value also has a method Reload() (changed bool, err error), that is
// called every second.
type Users interface {
	Lookup(name string) (users.User, bool)
}

// LocalCall is one command of a local caller, which the kernel has identified
// (SO_PEERCRED). It runs with the role admin.
type LocalCall interface {
	User() string   // for the audit log: "ctl uid=0 pid=4711"
	Args() []string // the words of the command
	Stdin() io.Reader
	Stdout() io.Writer
	Stderr() io.Writer
	// Context ends when the caller has gone; its cause is [context.Canceled]
	// after a Ctrl-C. If it ended before the call was taken, the caller has been
	// told that there is no answer, and nothing runs.
	Context() context.Context
	// Exit tells the caller the status and ends the conversation. It is
	// called once.
	Exit(status int) error
}
