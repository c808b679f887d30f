// Package commands is what operators type: a [Registry] of commands, each
// built on a [control.Control], and the one way to run them.
//
// Invariant: a command runs only after its line was parsed as a whole, its
// role was found sufficient and the caller's [Invocation.Before] agreed; and
// whatever it does then, [Registry.Run] returns an exit status from 0 to 254
// and has told the reason of a failure on Err, never on Out. The same line
// means the same through every door: ssh, TLS, a script, the local socket.
//
//	reg, err := commands.NewRegistry(commands.Builtin("1.0"), foo, bar)
//	…
//	status := reg.Run(ctx, commands.Invocation{
//		Line: "scale web 8", User: "viola", Role: commands.Operator,
//		Control: primary, Out: out, Err: errs,
//	})
//
// Text that others wrote (workers, log lines, arguments, user names) passes
// [Safe] before it reaches a terminal.
//
// Limits: a line has at most [MaxLine] bytes; there are no variables, and what
// follows a | is one of a few filters. Names may be abbreviated in Interactive
// mode only: a script must not change its meaning with a new command.
package commands
