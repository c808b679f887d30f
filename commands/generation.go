package commands

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/norestart/norestart/control"
)

func generationCommands() []Command {
	return []Command{
		{
			Name: "rollback", Role: Operator, Group: groupChange, Flags: jobFlags, Run: rollback, Complete: poolThenGeneration,
			Usage: "[POOL] [GENERATION]", Summary: "new generation with the content of an earlier one",
			Help: "Without a number: the one before the current, of those that were not given up.\n" +
				"POOL may be left out when the application has one pool. Works as reload does.",
		},
		{
			Name: "generation list", Role: Viewer, Group: groupLook, Flags: watchFlags, Run: watched(generationList),
			Summary: "the versions of each pool that can be rolled back to",
			Help: "KEPT tells what of it lasts when its file has been replaced and the primary has\n" +
				"gone: binary (it can be started again), or no.",
		},
	}
}

func rollback(ctx context.Context, call *Call) error {
	words, err := call.Words(0, 2)
	if err != nil {
		return err
	}
	r, err := rollbackRequest(words)
	if err != nil {
		return err
	}
	return call.begin(ctx, func(ctx context.Context) (control.Job, error) {
		return call.Primary.Rollback(ctx, r)
	})
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
			return r, Usagef("rollback: %q is no generation", word)
		}
	}
	return r, nil
}

func generationList(ctx context.Context, call *Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	all, err := answer(ctx, call.Primary.Generations)
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"generations": all})
	}
	var rows [][]string
	for _, g := range all {
		rows = append(rows, []string{
			g.Pool, strconv.Itoa(g.Number), generationState(g), strconv.Itoa(g.Workers), g.Kept,
			fmt.Sprintf("%s ago", age(time.Since(g.Since))), g.Path,
		})
	}
	return call.Table([]string{"POOL", "GENERATION", "STATE", "WORKERS", "KEPT", "SINCE", "PATH"}, rows...)
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
