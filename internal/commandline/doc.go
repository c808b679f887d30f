// Package commandline is what stands between a typed line and the command that
// runs: a [Registry] of commands, the parsing of a line, completion, help,
// filters, and the one way to run a command and to tell of its failure. It serves
// the admin port, norestart ctl and our client.
//
// Invariant: a command runs only after its line was parsed as a whole, its role
// was found sufficient and the caller's [Invocation.Before] agreed. Whatever it
// does then, [Registry.Run] returns an exit status from 0 to 254 and has told the
// reason of a failure on Err, never on Out. A line means the same over ssh and
// TLS, in a script and at the local socket.
//
//	reg, err := commandline.NewRegistry(builtin.Commands("1.0"), foo, bar)
//	…
//	status := reg.Run(ctx, commandline.Invocation{
//		Line: "scale web 8", User: "viola", Role: commands.Operator,
//		Control: primary, Out: out, Err: errs,
//	})
//
// Limits: a line has at most 64 KiB; there are no variables, and what
// follows a | is one of a few filters. Names may be abbreviated in Interactive
// mode only: a script must not change its meaning with a new command.
package commandline
