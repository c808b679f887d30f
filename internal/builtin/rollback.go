package builtin

import (
	"context"
	"strconv"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func rollbackCommand() commands.Command {
	return commands.Command{
		Name: "rollback", Role: commands.Operator, Group: groupChange, Flags: jobFlags, Run: run(0, 2, rollback), Complete: poolThenGeneration,
		Usage: "[POOL] [GENERATION]", Summary: "run an earlier generation of a pool again",
		Help: "Works as reload does, and starts dead workers, too; the result is a new generation with\n" +
			"the content of the earlier one. Without GENERATION: the last good one that is older\n" +
			"than what runs, so a second rollback goes further back, never forward. POOL may be\n" +
			"left out if the application has one pool.",
	}
}

func rollback(ctx context.Context, call *Call) error {
	r, err := rollbackRequest(call.Args[1:])
	if err != nil {
		return err
	}
	return call.begin(ctx, r)
}

// rollbackRequest reads "[POOL] [GENERATION]": a number alone is the latter.
func rollbackRequest(words []string) (r control.RollbackRequest, err error) {
	for i, word := range words {
		n, numErr := strconv.Atoi(word)
		switch {
		case numErr == nil && n > 0 && i == len(words)-1:
			r.Generation = n
		case i == 0 && numErr != nil:
			r.Pool = word
		default:
			return r, commands.Usagef("rollback: %q is not the number of a generation", word)
		}
	}
	return r, nil
}
