package commands

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
)

// Role is what a user may do. Each role includes the ones below it.
type Role int

// The roles. The zero Role is none of them: a command that names no role does
// not register, and a user without one may do nothing.
const (
	NoRole   Role = iota
	Viewer        // looks
	Operator      // changes the pools
	Admin         // changes the cluster and its admin port
)

func (r Role) String() string {
	switch r {
	case Viewer:
		return "viewer"
	case Operator:
		return "operator"
	case Admin:
		return "admin"
	default:
		return "none"
	}
}

// ParseRole returns the role of that name. Only the three names are roles.
func ParseRole(name string) (Role, error) {
	for _, r := range []Role{Viewer, Operator, Admin} {
		if r.String() == name {
			return r, nil
		}
	}
	return NoRole, fmt.Errorf("no role %q: viewer, operator or admin", name)
}

// may reports whether a user of role r may run what needs role need. It is
// false when either is not a role.
func (r Role) may(need Role) bool {
	return need >= Viewer && need <= Admin && r >= need && r <= Admin
}

// Command is what an operator types. It is built in or registered by the
// application.
type Command struct {
	Name    string // one or two words: "flush", "cache flush"
	Role    Role   // the least role that may run it
	Summary string // one line for help
	Usage   string // arguments, as in "[POOL] N"; empty: it takes any
	Help    string // more for "help NAME"; may be empty
	Group   string // heading in help; empty: Application

	// Flags declares the command's flags, which are then parsed before Run:
	// [Call.Args] keeps the arguments and [Call.Flags] has the values. An
	// unknown flag is a usage error. Words such as -9 are arguments. Nil
	// leaves the words as they were typed.
	//
	// In either case the words --json and --help, where they stand before a
	// word --, are the runner's: the first sets [Call.JSON], the second shows
	// help instead. "foo -- --json" gives the command the words -- and --json,
	// or, with Flags, --json alone.
	Flags func(flags *pflag.FlagSet)

	// Complete lists what may stand in the place of word, the next one, when a
	// person types TAB; call.Args are the words before it. What does not begin
	// with word is left out. It has 200 ms, until ctx ends. May be nil.
	Complete func(ctx context.Context, call *Call, word string) ([]string, error)

	// Secret says that the command's words are not for history or audit log.
	Secret bool

	// Run does the work. It is called on a goroutine of its own and should
	// return soon after ctx is done (the user pressed Ctrl-C or hung up).
	// The error is shown on one line; its exit status is 1 unless it is or
	// wraps an [*Error] with another. A panic is recovered.
	Run func(ctx context.Context, call *Call) error
}

// Mode is how a command came in, which decides how it may present itself.
type Mode int

// The modes, decided by the request alone.
const (
	Exec        Mode = iota // one command: no colour, no prompt, no width dependence, even with a pty
	Script                  // lines on standard input, no pty
	Interactive             // a person at a prompt
)

// Screen is what a person's terminal can do. The zero Screen is none.
type Screen struct {
	Width, Height int  // 0: not known
	Colour        bool // it shows colours, and they are wanted
	Live          bool // it moves its cursor, so that lines can be written anew
}

// Call is one run of a command.
type Call struct {
	Args    []string        // Args[0] is the command's own name
	User    string          // who asks
	Role    Role            // of the user
	Primary control.Control // the cluster, in the name of the user
	Out     io.Writer       // standard output
	Err     io.Writer       // standard error
	JSON    bool            // --json was given
	Mode    Mode
	Width   int // columns of the terminal in Interactive mode, else 0

	screen   Screen
	enough   func() bool // nobody reads more of Out; may be nil
	ask      func(ctx context.Context, prompt string) (string, error)
	place    func(kind, value string) string // see [Invocation.Mark]; may be nil
	ctx      context.Context                 // of this run: Ask has no context of its own
	flags    *pflag.FlagSet
	registry *Registry
}
