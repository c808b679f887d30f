package builtin

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func restartCommand() commands.Command {
	return commands.Command{
		Name: "restart", Role: commands.Admin, Group: groupCluster, Flags: restartFlags, Run: run(0, 0, restart),
		Summary: "run new code everywhere: the primary, every pool, the shell last",
	}
}

func restartFlags(flags *pflag.FlagSet) {
	flags.Bool("primary", false, "only the primary's own code: the workers are not touched")
	jobFlags(flags)
}

func restart(ctx context.Context, call *Call) error {
	return call.begin(ctx, control.RestartRequest{Primary: call.given("primary")})
}
