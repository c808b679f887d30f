package builtin

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func stopCommand() commands.Command {
	return commands.Command{
		Name: "stop", Ends: true, Role: commands.Admin, Group: groupCluster, Flags: stopFlags, Run: run(0, 0, stop),
		Summary: "end everything",
		Help:    "Asks for the cluster's name first; where it cannot ask, --yes is needed.",
	}
}

func stopFlags(flags *pflag.FlagSet) {
	flags.Bool("yes", false, "do not ask")
	detachFlag(flags)
}

// stop has a last word at a prompt, because no prompt follows.
func stop(ctx context.Context, call *Call) error {
	asks := !call.given("yes")
	if call.Mode != commands.Interactive {
		if asks {
			return call.Confirm("")
		}
		return call.begin(ctx, control.StopRequest{})
	}
	s, err := call.status(ctx)
	if err != nil {
		return err
	}
	if asks {
		n := count(s).Current
		if err := call.Confirm(fmt.Sprintf("This stops %s: %d worker%s and the primary.", s.Name, n, plural(n))); err != nil {
			return err
		}
	}
	if err := call.begin(ctx, control.StopRequest{}); err != nil || !call.narrates() {
		return err
	}
	call.Printf("%s has stopped\n", commands.Safe(s.Name))
	return nil
}
