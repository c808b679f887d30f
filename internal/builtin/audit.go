package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

func auditCommand() commands.Command {
	return commands.Command{
		Name: "audit", Role: commands.Admin, Group: groupCluster, Run: run(0, 0, showAudit),
		Summary: "who did what, from the audit log",
		Help: "Shows the newest records, oldest first, rotated files included; with --json as they stand\n" +
			"in the log. A shell worker that runs as a user of its own may not read the log: use\n" +
			"norestart ctl audit on the machine.",
		Flags: func(flags *pflag.FlagSet) {
			flags.String("user", "", "only records of the user with this `name`")
			flags.String("event", "", "only this `kind`: login, refused, start, end, denied, invalid, dropped or more")
			flags.Duration("since", 0, "only records of the last `time`, as 1h30m")
			flags.Int("lines", defaultLines, "show at most this `number` of records")
		},
	}
}

// auditRecord is the part of a record that is shown.
type auditRecord struct {
	Time   time.Time `json:"time"`
	Event  string    `json:"event"`
	Via    string    `json:"via"`
	User   string    `json:"user"`
	From   string    `json:"from"`
	Argv   []string  `json:"argv"`
	Line   string    `json:"line"`
	Status *int      `json:"status"`
	Reason string    `json:"reason"`
	Count  int       `json:"count"`
}

func (r auditRecord) text() string {
	parts := []string{r.Time.Local().Format(stamp), r.Event, r.User, r.Via}
	if r.From != "" && r.From != "local" {
		parts = append(parts, r.From)
	}
	if r.Count > 0 {
		parts = append(parts, fmt.Sprintf("%d records were left out", r.Count))
	}
	parts = append(parts, strings.Join(r.Argv, " "), r.Line, r.Reason)
	if r.Status != nil {
		parts = append(parts, fmt.Sprintf("status %d", *r.Status))
	}
	text := ""
	for _, part := range parts {
		if part != "" {
			text += "  " + part
		}
	}
	return commands.Safe(strings.TrimPrefix(text, "  ")) + "\n"
}

func showAudit(ctx context.Context, call *Call) error {
	if call.in.Audit == nil {
		return &control.Error{
			Status: commands.StatusDenied, Code: "no_audit",
			Message: "this shell worker runs as a user that may not read the audit log",
			Hint:    "use norestart ctl audit on the machine",
		}
	}
	lines, user, event := call.number("lines"), call.text("user"), call.text("event")
	if lines < 1 || lines > maxLines {
		return commands.Usagef("audit: --lines must be 1 to %d", maxLines)
	}
	ago, err := call.duration("since")
	if err != nil {
		return err
	}
	var since time.Time
	if ago > 0 {
		since = time.Now().Add(-ago)
	}
	newest, err := call.newest(ctx, lines, since, func(r auditRecord) bool {
		return !r.Time.Before(since) && (user == "" || r.User == user) && (event == "" || r.Event == event)
	})
	if err != nil {
		return err
	}
	return call.write(strings.Join(newest, ""))
}

// newest collects the last records that match, as text, and keeps no more in
// memory than are shown.
func (c *Call) newest(ctx context.Context, lines int, since time.Time, fits func(auditRecord) bool) ([]string, error) {
	var texts []string
	err := c.in.Audit(since, func(line []byte) error {
		var r auditRecord
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case json.Unmarshal(line, &r) != nil || !fits(r):
			return nil
		case c.JSON:
			texts = append(texts, string(typeset.SafeJSON(append(line[:len(line):len(line)], '\n'))))
		default:
			texts = append(texts, r.text())
		}
		if len(texts) >= 2*lines {
			texts = append(texts[:0], texts[len(texts)-lines:]...)
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("read the audit log: %w", err)
	}
	return texts[max(0, len(texts)-lines):], err
}
