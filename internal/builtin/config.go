package builtin

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func configCommands() []commands.Command {
	return []commands.Command{
		{
			Name: "config diff", Role: commands.Viewer, Group: groupLook, Flags: noFlags, Run: run(0, 0, configDiff),
			Summary: "what norestart.toml says now beside what runs",
			Help: "Reads the file anew (norestart.toml, or that of an application of the library) and tells, pool by pool and key by key, what is different and what\n" +
				"follows if it is taken in as a whole. The values of variables are not shown.",
		},
		{
			Name: "config reload", Role: commands.Admin, Group: groupChange, Flags: configReloadFlags, Run: run(0, 0, configReload),
			Summary: "take in all of norestart.toml: pools begin, change, end",
			Help: "Reads the file anew and takes it in as a whole or not at all: new pools start, changed\n" +
				"ones get a new generation as in a reload, settings that need none count at once, and\n" +
				"then pools end that are not there any more. If a part fails, everything goes back to\n" +
				"what was. Targets set by `scale` are as configured again. The name of the cluster and\n" +
				"some keys need more, and are named.\n" +
				"The file of an application of the library is checked by all its workers, and then\n" +
				"applied by all of them or none, without replacing one.",
		},
	}
}

func configReloadFlags(flags *pflag.FlagSet) {
	flags.Bool("dry-run", false, "tell what would change, and change nothing")
	jobFlags(flags)
}

func configReload(ctx context.Context, call *Call) error {
	if call.given("dry-run") {
		return configDiff(ctx, call)
	}
	return call.begin(ctx, control.ConfigRequest{})
}

func configDiff(ctx context.Context, call *Call) error {
	all, err := get(ctx, call.Primary, control.ConfigQuery{})
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"pools": all})
	}
	if len(all) == 0 {
		return call.write("no difference\n")
	}
	var b strings.Builder
	for _, p := range all {
		fmt.Fprintf(&b, "%s: %s\n", commands.Safe(orCluster(p.Pool)), followText(p))
		for _, c := range p.Changes {
			fmt.Fprintf(&b, "  %s%s\n", commands.Safe(changeText(c)), effect(c, p))
		}
	}
	return call.write(b.String())
}

func orCluster(pool string) string {
	if pool == "" {
		return "the cluster"
	}
	return pool
}

// followText is what becomes of a pool.
func followText(p control.PoolChanges) string {
	workers := fmt.Sprintf("%d worker%s", p.Workers, plural(p.Workers))
	switch p.Follows {
	case control.FollowsBegin:
		return "new, " + workers
	case control.FollowsEnd:
		return "ends, " + workers
	case control.FollowsReload:
		return workers + " would be replaced by a new generation"
	case control.FollowsLive:
		return "changes without replacing workers"
	case control.FollowsRestart:
		return "refused: it takes a restart"
	}
	return "refused: it takes a stop and a start"
}

// effect is what follows from a change if it is not what follows for the pool.
func effect(c control.Change, p control.PoolChanges) string {
	switch {
	case c.Follows == p.Follows:
		return ""
	case c.Follows == control.FollowsLive:
		return ", at once"
	}
	return ", by a new generation"
}
