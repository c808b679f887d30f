package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
)

const (
	defaultLines = 100
	maxLines     = 10_000 // keeps what is collected before it is written small
)

func logCommands() []Command {
	return []Command{
		{
			Name: "log", Role: Viewer, Group: groupLook, Run: showLog, Summary: "what the workers wrote",
			Flags: func(flags *pflag.FlagSet) {
				flags.String("worker", "", "only of the worker with this `id`")
				flags.Bool("raw", false, "as the worker wrote it, without what else a line tells: escape sequences act")
				streamFlags(flags)
			},
		},
		{
			Name: "events", Role: Viewer, Group: groupLook, Run: showEvents, Flags: streamFlags,
			Summary: "what happened in the cluster, and on whose wish",
		},
	}
}

func streamFlags(flags *pflag.FlagSet) {
	flags.Bool("follow", false, "go on with new ones until Ctrl-C")
	flags.Int("lines", defaultLines, "`how many` of those kept, at most")
	flags.String("after", "", "only what came after this `place`, EPOCH.SEQ of --json")
	flags.Duration("for", 0, "follow for this `time`, then end")
}

// errEnough ends a stream whose filter wants no more.
var errEnough = errors.New("enough lines")

// stream is how "log" and "events" read.
type stream struct {
	lines  int // as in control.LogQuery
	follow bool
	after  control.Cursor
	limit  time.Duration // 0: none
}

func (c *Call) stream() (stream, error) {
	if _, err := c.Words(0, 0); err != nil {
		return stream{}, err
	}
	var s stream
	var err error
	if s.lines, err = c.Flags().GetInt("lines"); err != nil {
		return stream{}, err
	}
	if s.lines < 0 || s.lines > maxLines {
		return stream{}, Usagef("%s: --lines must be 0 to %d", c.Args[0], maxLines)
	}
	if s.lines == 0 {
		s.lines = -1
	}
	if s.after, err = c.after(); err != nil {
		return stream{}, err
	}
	if s.follow, err = c.Flags().GetBool("follow"); err != nil {
		return stream{}, err
	}
	s.limit, err = c.duration("for")
	s.follow = s.follow || s.limit > 0
	return s, err
}

func showLog(ctx context.Context, call *Call) error {
	s, err := call.stream()
	if err != nil {
		return err
	}
	worker, err := call.Flags().GetString("worker")
	if err != nil {
		return err
	}
	raw, err := call.Flags().GetBool("raw")
	if err != nil {
		return err
	}
	text := logText
	if raw {
		text = rawText
	}
	q := control.LogQuery{Worker: worker, Lines: s.lines, Follow: s.follow, After: s.after}
	return call.read(ctx, s, func(ctx context.Context, out io.Writer) error {
		return call.Primary.Log(ctx, q, func(l control.LogLine) error {
			return call.item(out, l, l.Cursor, text(l))
		})
	})
}

func showEvents(ctx context.Context, call *Call) error {
	s, err := call.stream()
	if err != nil {
		return err
	}
	q := control.EventQuery{Lines: s.lines, Follow: s.follow, After: s.after}
	return call.read(ctx, s, func(ctx context.Context, out io.Writer) error {
		return call.Primary.Events(ctx, q, func(e control.Event) error {
			return call.item(out, e, e.Cursor, eventText(e))
		})
	})
}

// read has from write to standard output: as it comes when it is followed,
// otherwise the whole or nothing.
func (c *Call) read(ctx context.Context, s stream, from func(context.Context, io.Writer) error) error {
	if !s.follow {
		var whole bytes.Buffer
		if err := c.readWhole(ctx, &whole, from); err != nil {
			return err
		}
		_, err := c.Out.Write(whole.Bytes())
		return err
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if s.limit > 0 {
		limited, cancel = context.WithTimeout(ctx, s.limit)
	}
	defer cancel()
	err := from(limited, c.Out)
	if errors.Is(err, errEnough) {
		return nil
	}
	if s.limit > 0 && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return nil // the time that was asked for is over
	}
	return err
}

func (c *Call) readWhole(ctx context.Context, out io.Writer, from func(context.Context, io.Writer) error) error {
	_, err := answer(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, from(ctx, out) })
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (c *Call) item(out io.Writer, value any, at control.Cursor, text string) error {
	if c.JSON {
		line, err := encode(value)
		if err != nil {
			return err
		}
		text = string(line)
	}
	if _, err := io.WriteString(out, c.placed(text, writePlace(at))); err != nil {
		return err
	}
	if c.enough != nil && c.enough() {
		return errEnough
	}
	return nil
}

func logText(l control.LogLine) string {
	return skipped(l.Skipped) + fmt.Sprintf("%s %s %s\n", l.Time.Local().Format(stamp), Safe(l.Worker), Safe(l.Text))
}

// rawText is for who asked for it: what acts on a terminal is not quoted.
func rawText(l control.LogLine) string { return skipped(l.Skipped) + l.Text + "\n" }

func eventText(e control.Event) string {
	line := fmt.Sprintf("%s %s %s", e.Time.Local().Format(stamp), Safe(e.Kind), Safe(e.Text))
	if e.User != "" {
		line += " (by " + Safe(e.User) + ")"
	}
	return skipped(e.Skipped) + line + "\n"
}

// skipped owns up to what a slow reader has missed.
func skipped(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("[%d line%s skipped]\n", n, plural(n))
}
