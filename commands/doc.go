// Package commands is how an application adds commands of its own to those that
// operators type at the admin port. It declares each [Command] in shell.Config:
//
//	var warm = commands.Command{
//		Name: "cache warm", Role: commands.Operator, Summary: "fill the cache",
//		Run: func(ctx context.Context, call *commands.Call) error {
//			_, err := call.Primary.Do(ctx, control.ReloadRequest{Pools: []string{"cache"}}, nil)
//			return err
//		},
//	}
//
// Such a command is listed in help, completed, allowed and refused by role, kept
// on the audit log, and may stand before filters, as the built-in ones.
//
// Invariant: Run is called only after the line was parsed as a whole, the user's
// [Role] was found sufficient and the audit log was told. Whatever it does
// then, the line ends with an exit status from 0 to 254, and the reason of a
// failure is told on standard error, never on standard output.
//
// Text that others wrote (workers, log lines, arguments, user names) passes
// [Safe] before it reaches a terminal.
package commands
