package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

// The questions that every process of the admin port answers, the replaced ones
// with sessions of their own, too. The answers are JSON.
const (
	HandlerSessions = "session.list"    // answer: list of SessionInfo
	HandlerEnd      = "session.end"     // arguments ID, user; answer: how many
	HandlerBlocked  = "session.blocked" // answer: list of BlockedInfo
	HandlerUnblock  = "session.unblock" // argument: address or network; answer: how many
)

// SessionInfo is one session of the admin port.
type SessionInfo struct {
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Role    string    `json:"role"`
	Via     string    `json:"via"` // ssh, tls or ctl
	From    string    `json:"from"`
	Key     string    `json:"key,omitempty"` // fingerprint
	Since   time.Time `json:"since"`
	Command string    `json:"command,omitempty"` // that runs now
	PID     int       `json:"pid"`               // of the shell worker that holds it
}

// BlockedInfo is one source whose connections are refused.
type BlockedInfo struct {
	Source string    `json:"source"` // an address, or a network of IPv6
	Until  time.Time `json:"until"`
	Failed int       `json:"failed"` // logins
	Users  []string  `json:"users"`  // some of the names that were tried
}

func visitorCommands() []Command {
	return []Command{
		{
			Name: "session list", Role: Admin, Group: groupSession, Flags: watchFlags, Run: watched(sessionList),
			Summary: "who is logged in, and what runs for whom",
			Help:    "Sessions of replaced shell workers are among them.",
		},
		{
			Name: "session end", Role: Admin, Group: groupSession, Flags: noFlags, Run: sessionEnd, Complete: others(anySession),
			Usage: "ID…", Summary: "end sessions; jobs that they began go on",
			Help: "Its connection is closed, too, once no other session is open on it. Who must not\n" +
				"come back is removed from the users, or loses the key.",
		},
		{
			Name: "session blocked", Role: Admin, Group: groupSession, Flags: watchFlags, Run: watched(sessionBlocked),
			Summary: "the sources that may not connect for now, and why",
		},
		{
			Name: "session unblock", Role: Admin, Group: groupSession, Flags: noFlags, Run: sessionUnblock, Complete: first(anyBlocked),
			Usage: "ADDRESS", Summary: "let a source connect again",
		},
	}
}

// askShells puts one question to every process of the admin port and collects
// the answers. Those that do not answer come as an error, after all had their
// time; without that the answers are complete.
func askShells[T any](ctx context.Context, call *Call, handler string, args ...string) ([]T, error) {
	pool, err := call.adminPool(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, control.DefaultCallTimeout+callMargin)
	defer cancel()
	var all []T
	var failed []string
	err = call.Primary.Call(ctx, control.CallRequest{Pool: pool, Handler: handler, Args: args}, func(r control.CallReply) error {
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
		err = &Error{Code: "incomplete", Message: fmt.Sprintf("%d shell worker%s did not answer", len(failed), plural(len(failed))), Lines: failed}
	}
	return all, err
}

func (c *Call) adminPool(ctx context.Context) (string, error) {
	spec, err := answer(ctx, c.Primary.Spec)
	if err != nil {
		return "", err
	}
	if spec.Admin == "" {
		return "", &Error{Code: "no_admin_port", Message: "this cluster has no admin port"}
	}
	return spec.Admin, nil
}

func sessionList(ctx context.Context, call *Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	lists, err := askShells[[]SessionInfo](ctx, call, HandlerSessions)
	if err != nil {
		return err
	}
	sessions := slices.Concat(lists...)
	slices.SortFunc(sessions, func(a, b SessionInfo) int { return a.Since.Compare(b.Since) })
	if call.JSON {
		return call.WriteJSON(map[string]any{"sessions": full(sessions)})
	}
	var rows [][]string
	for _, s := range sessions {
		rows = append(rows, []string{s.ID, s.User, s.Role, s.Via, s.From, s.Since.Local().Format(stamp), strconv.Itoa(s.PID), dash(s.Command)})
	}
	return call.Table([]string{"ID", "USER", "ROLE", "VIA", "FROM", "SINCE", "PID", "COMMAND"}, rows...)
}

func sessionEnd(ctx context.Context, call *Call) error {
	ids, err := call.Words(1, -1)
	if err != nil {
		return err
	}
	var missing []string
	for _, id := range ids {
		counts, err := askShells[int](ctx, call, HandlerEnd, id, call.User)
		switch {
		case errors.Is(err, control.ErrUnavailable):
			return also(err, "whom you remove from the users loses his sessions meanwhile: norestart user del NAME")
		case sum(counts) == 0 && err != nil: // whoever was silent may hold it
			return err
		case sum(counts) == 0:
			missing = append(missing, id)
		case !call.JSON:
			call.Printf("session %s ended\n", Safe(id))
		}
	}
	if len(missing) > 0 {
		return &Error{Code: "no_such_session", Message: "no session " + strings.Join(missing, ", "), Hint: "session list"}
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
