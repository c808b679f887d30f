package builtin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func generationCommand() commands.Command {
	return commands.Command{
		Name: "generation list", Role: commands.Viewer, Group: groupLook, Flags: watchFlags, Run: watched(0, 0, generationList),
		Summary: "the versions of each pool that can be rolled back to",
		Help: "KEPT is what can be started when the file was replaced and the primary has gone: binary\n" +
			"(its own file), directory (a script, as it is at its path by then), or no. OUTCOME is\n" +
			"good if every worker of the pool ran it, failed if a reload to it failed or one of its\n" +
			"workers was soon given up, rolled back if the pool left it for an earlier one; the\n" +
			"reason is below the list. COPY OF is the generation that a rollback copied. BUILD is\n" +
			"the revision of the source, if the go command recorded one, and the SHA-256 of the file.",
	}
}

func generationList(ctx context.Context, call *Call) error {
	all, err := get(ctx, call.Primary, control.GenerationsQuery{})
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"generations": all})
	}
	var rows [][]string
	var notes strings.Builder
	now := time.Now()
	for _, g := range all {
		rows = append(rows, []string{
			g.Pool, strconv.Itoa(g.Number), generationState(g), strconv.Itoa(g.Workers), g.Kept,
			age(now.Sub(g.Since)) + " ago", outcome(g), copyOf(g), buildOf(g), g.Path,
		})
		if g.Why != "" {
			fmt.Fprintf(&notes, "%s: %s\n", commands.Safe(g.Pool), commands.Safe(judged(control.Verdict{Generation: g.Number, Outcome: g.Outcome, Why: g.Why, Time: g.Decided}, now)))
		}
	}
	if err := call.Table([]string{"POOL", "GENERATION", "STATE", "WORKERS", "KEPT", "SINCE", "OUTCOME", "COPY OF", "BUILD", "PATH"}, rows...); err != nil {
		return err
	}
	return call.write(notes.String())
}

func outcome(g control.GenerationInfo) string {
	return dash(strings.ReplaceAll(string(g.Outcome), "_", " "))
}

// buildOf is the beginning of the source's revision and of the file's digest.
func buildOf(g control.GenerationInfo) string {
	revision, changed, _ := strings.Cut(g.Revision, "+")
	text := shortened(revision)
	if changed != "" {
		text += "+" + changed
	}
	return dash(strings.TrimSpace(text + " " + shortened(g.Digest)))
}

func shortened(id string) string { return id[:min(len(id), 8)] }

func copyOf(g control.GenerationInfo) string {
	if g.CopyOf == 0 {
		return "-"
	}
	return strconv.Itoa(g.CopyOf)
}

func generationState(g control.GenerationInfo) string {
	switch {
	case g.Current:
		return "current"
	case g.GivenUp:
		return "given up"
	}
	return "-"
}
