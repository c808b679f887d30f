package builtin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

const (
	defaultLines = 100
	maxLines     = 10_000 // keeps what is collected before it is written small
)

func streamFlags(flags *pflag.FlagSet) {
	flags.Bool("follow", false, "then show new ones until Ctrl-C")
	flags.Int("lines", defaultLines, "show at most this `number` of those kept")
	flags.String("after", "", "only what came after this `place`: EPOCH.SEQ, as --json shows it")
	flags.Duration("for", 0, "stop following after this `time`")
}

// errEnough ends a stream whose filter wants no more.
var errEnough = errors.New("enough lines")

// stream is the part of log and events that was asked for.
type stream struct {
	lines  int // as in control.LogQuery
	follow bool
	after  control.Cursor
	limit  time.Duration // 0: none
}

func (c *Call) stream() (stream, error) {
	s := stream{lines: c.number("lines"), follow: c.given("follow")}
	var err error
	if s.lines < 0 || s.lines > maxLines {
		return stream{}, commands.Usagef("%s: --lines must be 0 to %d", c.Args[0], maxLines)
	}
	if s.lines == 0 {
		s.lines = -1
	}
	if s.after, err = c.after(); err != nil {
		return stream{}, err
	}
	s.limit, err = c.duration("for")
	s.follow = s.follow || s.limit > 0
	return s, err
}

// read writes the elements of a stream to standard output as text: each at once
// if they are followed, else all or none.
func read[E any](ctx context.Context, c *Call, s stream, q control.Stream[E], text func(E) (control.Cursor, string)) error {
	from := func(ctx context.Context, out io.Writer) error {
		return control.Watch(ctx, c.Primary, q, func(e E) error {
			at, line := text(e)
			return c.item(out, e, at, line)
		})
	}
	if !s.follow {
		var whole bytes.Buffer
		_, err := answer(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, from(ctx, &whole) })
		if err == nil || errors.Is(err, errEnough) {
			err = c.write(whole.String())
		}
		return err
	}
	limited, cancel := bounded(ctx, s.limit)
	defer cancel()
	err := from(limited, c.Out)
	over := s.limit > 0 && ctx.Err() == nil && limited.Err() != nil
	if over || errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (c *Call) item(out io.Writer, value any, at control.Cursor, text string) error {
	if c.JSON {
		line, err := typeset.JSON(value)
		if err != nil {
			return err
		}
		text = string(line)
	}
	if _, err := io.WriteString(out, c.placed(text, writePlace(at))); err != nil {
		return err
	}
	if c.in.Enough() {
		return errEnough
	}
	return nil
}

// skipped tells how many lines a slow reader has missed.
func skipped(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("[%d line%s skipped]\n", n, plural(n))
}
