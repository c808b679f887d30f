package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/sessions"
)

func sessionCommands() []commands.Command {
	return []commands.Command{
		{
			Name: "session list", Role: commands.Admin, Group: groupSession, Flags: watchFlags, Run: watched(0, 0, sessionList),
			Summary: "who is logged in, and what runs for whom",
			Help:    "Includes sessions that replaced shell workers still have.",
		},
		{
			Name: "session end", Ends: true, Role: commands.Admin, Group: groupSession, Flags: noFlags, Run: run(1, -1, sessionEnd), Complete: others(anySession),
			Usage: "ID…", Summary: "end sessions; jobs that they began go on",
			Help: "A connection is closed with its last session. To keep a user out, remove the user\n" +
				"(norestart user del) or the key (norestart user key del).",
		},
		{
			Name: "session blocked", Role: commands.Admin, Group: groupSession, Flags: watchFlags, Run: watched(0, 0, sessionBlocked),
			Summary: "sources that may not connect for now, and why",
		},
		{
			Name: "session unblock", Role: commands.Admin, Group: groupSession, Flags: noFlags, Run: run(1, 1, sessionUnblock), Complete: first(anyBlocked),
			Usage: "ADDRESS", Summary: "let a source connect again",
		},
	}
}

// askShells asks every process of the admin port and collects the answers. If
// some do not answer in time, the others are returned with an error.
func askShells[T any](ctx context.Context, primary control.Control, handler string, args ...string) ([]T, error) {
	pool, err := adminPool(ctx, primary)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, control.DefaultCallTimeout+callMargin)
	defer cancel()
	var all []T
	var failed []string
	err = control.Watch(ctx, primary, control.CallRequest{Pool: pool, Handler: handler, Args: args}, func(r control.CallReply) error {
		var one T
		if r.Error == "" {
			if err := json.Unmarshal(r.Data, &one); err != nil {
				r.Error = err.Error()
			}
		}
		if r.Error != "" {
			failed = append(failed, r.Worker+": "+r.Error)
			return nil
		}
		all = append(all, one)
		return nil
	})
	if err == nil && len(failed) > 0 {
		err = &control.Error{Code: "incomplete", Message: fmt.Sprintf("%d shell worker%s did not answer", len(failed), plural(len(failed))), Lines: failed}
	}
	return all, err
}

func adminPool(ctx context.Context, primary control.Control) (string, error) {
	spec, err := get(ctx, primary, control.SpecQuery{})
	if err != nil {
		return "", err
	}
	if spec.Admin == "" {
		return "", &control.Error{Code: "no_admin_port", Message: "this cluster has no admin port"}
	}
	return spec.Admin, nil
}

func sessionList(ctx context.Context, call *Call) error {
	lists, err := askShells[[]sessions.Session](ctx, call.Primary, sessions.HandlerList)
	if err != nil {
		return err
	}
	list := slices.Concat(lists...)
	slices.SortFunc(list, func(a, b sessions.Session) int { return a.Since.Compare(b.Since) })
	if call.JSON {
		return call.WriteJSON(map[string]any{"sessions": full(list)})
	}
	var rows [][]string
	for _, s := range list {
		rows = append(rows, []string{s.ID, s.User, s.Role, s.Via, s.From, s.Since.Local().Format(stamp), strconv.Itoa(s.PID), dash(s.Command)})
	}
	return call.Table([]string{"ID", "USER", "ROLE", "VIA", "FROM", "SINCE", "PID", "COMMAND"}, rows...)
}

func sessionEnd(ctx context.Context, call *Call) error {
	ids := call.Args[1:]
	var missing []string
	for _, id := range ids {
		counts, err := askShells[int](ctx, call.Primary, sessions.HandlerEnd, id, call.User)
		switch {
		case errors.Is(err, control.ErrUnavailable):
			return commandline.Hint(err, "without a primary, norestart user del NAME ends all sessions of a user")
		case sum(counts) == 0 && err != nil: // a process that did not answer may hold it
			return err
		case sum(counts) == 0:
			missing = append(missing, id)
		case !call.JSON:
			call.Printf("session %s ended\n", commands.Safe(id))
		}
	}
	if len(missing) > 0 {
		return &control.Error{Code: "no_such_session", Message: "no session " + strings.Join(missing, ", "), Hint: "session list"}
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"ended": ids})
	}
	return nil
}

func sum(counts []int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

func sessionBlocked(ctx context.Context, call *Call) error {
	blocked, err := blockedSources(ctx, call.Primary)
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"blocked": full(blocked)})
	}
	if len(blocked) == 0 {
		call.Printf("no source is blocked\n")
		return nil
	}
	var rows [][]string
	for _, b := range blocked {
		rows = append(rows, []string{b.Source, b.Until.Local().Format(stamp), whyBlocked(b)})
	}
	return call.Table([]string{"SOURCE", "UNTIL", "WHY"}, rows...)
}

// blockedSources are those that any process of the admin port refuses, the
// longest refused first.
func blockedSources(ctx context.Context, primary control.Control) ([]sessions.Blocked, error) {
	lists, err := askShells[[]sessions.Blocked](ctx, primary, sessions.HandlerBlocked)
	if err != nil {
		return nil, err
	}
	blocked := slices.Concat(lists...)
	slices.SortFunc(blocked, func(a, b sessions.Blocked) int { return b.Until.Compare(a.Until) })
	seen := map[string]bool{} // a successor got the blocks of the processes before it
	return slices.DeleteFunc(blocked, func(b sessions.Blocked) bool {
		defer func() { seen[b.Source] = true }()
		return seen[b.Source]
	}), nil
}

func whyBlocked(b sessions.Blocked) string {
	why := fmt.Sprintf("%d failed login%s", b.Failed, plural(b.Failed))
	if len(b.Users) > 0 {
		why += " (" + strings.Join(b.Users, ", ") + ")"
	}
	return why
}

func sessionUnblock(ctx context.Context, call *Call) error {
	source := call.Args[1]
	if !isSource(source) {
		return commands.Usagef("%q is not an address as session blocked shows it", source)
	}
	counts, err := askShells[int](ctx, call.Primary, sessions.HandlerUnblock, source)
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"source": source, "unblocked": sum(counts) > 0})
	}
	if sum(counts) == 0 {
		call.Printf("%s was not blocked\n", commands.Safe(source))
		return nil
	}
	call.Printf("%s may connect again\n", commands.Safe(source))
	return nil
}

func isSource(text string) bool {
	_, notAddr := netip.ParseAddr(text)
	_, notPrefix := netip.ParsePrefix(text)
	return notAddr == nil || notPrefix == nil
}
