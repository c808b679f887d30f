package commands

import (
	"context"

	"github.com/spf13/pflag"
)

// Command is what an operator types. An application declares its own in
// shell.Config.
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
	// The command does not see --json and --help, where they stand before a word
	// --: the first sets [Call.JSON], the second shows help instead. "foo -- --json"
	// gives the command the words -- and --json, or, with Flags, --json alone.
	Flags func(flags *pflag.FlagSet)

	// Complete lists what may stand in the place of word, the next one, when a
	// person types TAB; call.Args are the words before it. What does not begin
	// with word is left out. It has 200 ms, until ctx ends. May be nil.
	Complete func(ctx context.Context, call *Call, word string) ([]string, error)

	// Ends says that it ends something that was running. Such a command is never
	// suggested for a mistyped one.
	Ends bool

	// Hidden leaves the command out of the lists of help and completion, as a
	// second name of another one.
	Hidden bool

	// Secret says that the command's words are not for history or audit log.
	Secret bool

	// Run does the work. It is called on a goroutine of its own and should
	// return soon after ctx is done (the user pressed Ctrl-C or hung up).
	// The error is shown on one line; its exit status is 1 unless it is or
	// wraps an [Error] with another. After a panic the command has failed, and
	// the log has the stack.
	Run func(ctx context.Context, call *Call) error
}
