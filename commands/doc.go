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
// Limits: a line has at most [MaxLine] bytes; there are no pipes, variables
// or abbreviations. A column of a table is as wide as its runes are many, so
// wide letters (East Asian) may stand out of line.
package commands
