package builtin

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func reloadCommand() commands.Command {
	return commands.Command{
		Name: "reload", Role: commands.Operator, Group: groupChange, Flags: reloadFlags, Run: run(0, -1, reload), Complete: others(anyPool),
		Usage: "[POOL…]", Summary: "run new code in the application's pools, no request lost",
		Help: "Starts a new generation: each worker is replaced once its successor is ready. If the\n" +
			"first successor fails, nothing has changed; if a later one fails, the replaced workers\n" +
			"are rolled back. With --keep they stay, unless the address of the pool has changed: a\n" +
			"pool cannot keep two. With --watch the job goes on after the last worker, and rolls\n" +
			"back if workers crash more often than before; cancelled then, it leaves the new\n" +
			"generation running. With --update it begins with the update commands of the pools, and\n" +
			"each pool's check command comes before its new generation: if one of them fails, no\n" +
			"worker is touched. With --dry-run it is only told what would change and run: the\n" +
			"values of variables are not shown.",
	}
}

// jobFlags are those of commands that are refused while another job has the same
// pool.
func jobFlags(flags *pflag.FlagSet) {
	flags.Bool("wait", false, "if another job is in the way, wait for its end, then begin")
	detachFlag(flags)
}

func detachFlag(flags *pflag.FlagSet) {
	flags.Bool("detach", false, "print the id of the job and end; the job goes on")
}

func reloadFlags(flags *pflag.FlagSet) {
	flags.Duration("timeout", 0, "`time` for each worker to become ready")
	flags.Int("max-surge", 0, "`workers` to replace at once; 0: end each before its successor starts")
	flags.Duration("watch", 0, "`time` to watch after the last worker; crashes roll back; 0: none")
	flags.Bool("dry-run", false, "tell what would change, and change nothing")
	flags.Bool("update", false, "run the pools' updates first, see update in norestart.toml")
	flags.Bool("keep", false, "if a later worker fails, do not roll back those replaced")
	jobFlags(flags)
}

func reload(ctx context.Context, call *Call) error {
	if call.given("dry-run") {
		return dryRun(ctx, call)
	}
	timeout, err := call.duration("timeout")
	if err != nil {
		return err
	}
	watch, _ := call.Flags().GetDuration("watch")
	r := control.ReloadRequest{
		Pools: call.Args[1:], Timeout: timeout, MaxSurge: call.number("max-surge"), Keep: call.given("keep"), Watch: watch, Update: call.given("update"),
	}
	switch {
	case r.MaxSurge < 0:
		return commands.Usagef("reload: --max-surge must be 0 or more")
	case call.Flags().Changed("max-surge") && r.MaxSurge == 0:
		r.MaxSurge = control.NoSurge
	}
	switch {
	case r.Watch < 0:
		return commands.Usagef("reload: --watch must be 0 or more")
	case call.Flags().Changed("watch") && r.Watch == 0:
		r.Watch = control.NoWatch
	}
	return call.begin(ctx, r)
}

// dryRun tells what a reload would change.
func dryRun(ctx context.Context, call *Call) error {
	all, err := get(ctx, call.Primary, control.ChangesQuery{Pools: call.Args[1:]})
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"pools": all})
	}
	var b strings.Builder
	for _, p := range all {
		what := "by the same again"
		if len(p.Changes) > 0 {
			what = "by a new generation"
		}
		fmt.Fprintf(&b, "%s: %d worker%s would be replaced %s\n", commands.Safe(p.Pool), p.Workers, plural(p.Workers), what)
		b.WriteString(errandLine("update, with --update: ", p.Update) + errandLine("check before: ", p.Check))
		for _, c := range p.Changes {
			fmt.Fprintf(&b, "  %s\n", commands.Safe(changeText(c)))
		}
	}
	return call.write(b.String())
}

// errandLine is empty without a command.
func errandLine(what string, command []string) string {
	if len(command) == 0 {
		return ""
	}
	return "  " + what + commands.Safe(strings.Join(command, " ")) + "\n"
}

func changeText(c control.Change) string {
	switch {
	case strings.HasPrefix(c.Key, "env.") && c.From == "":
		return c.Key + " added"
	case strings.HasPrefix(c.Key, "env.") && c.To == "":
		return c.Key + " removed"
	case c.From == c.To:
		return c.Key + " changed"
	}
	return fmt.Sprintf("%s %s -> %s", c.Key, dash(c.From), dash(c.To))
}
