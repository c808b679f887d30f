package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
)

const (
	watchEvery = 2 * time.Second
	watchLeast = 100 * time.Millisecond
)

// watchFlags are those of commands that show a state.
func watchFlags(flags *pflag.FlagSet) {
	flags.Duration("watch", 0, "show it again and again, each `time`, until Ctrl-C")
	flags.Lookup("watch").NoOptDefVal = watchEvery.String()
	flags.Duration("for", 0, "watch for this `time`, then end")
}

// watched lets a command that shows a state show it again and again.
func watched(run func(context.Context, *Call) error) func(context.Context, *Call) error {
	return func(ctx context.Context, call *Call) error {
		every, err := call.duration("watch")
		if err != nil {
			return err
		}
		limit, err := call.duration("for")
		if err != nil {
			return err
		}
		switch {
		case every == 0 && limit == 0:
			return run(ctx, call)
		case every == 0:
			every = watchEvery
		}
		return call.watch(ctx, max(every, watchLeast), limit, run)
	}
}

func (c *Call) watch(ctx context.Context, every, limit time.Duration, run func(context.Context, *Call) error) error {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		limited, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	v := view{call: c, every: every}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		page, err := c.page(limited, run)
		if err == nil {
			err = v.show(page)
		}
		switch {
		case ctx.Err() == nil && limit > 0 && passed(limited): // the time that was asked for is over
			return nil
		case err != nil:
			return err
		case c.enough != nil && c.enough():
			return nil
		}
		select {
		case <-tick.C:
		case <-limited.Done():
			if ctx.Err() == nil {
				return nil
			}
			return ctx.Err()
		}
	}
}

// passed tells whether the time of ctx is over. What waits for a socket until
// then may know it a moment before ctx does.
func passed(ctx context.Context) bool {
	until, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(until)
}

// page is what run shows once. Without a primary it is that: one comes back.
func (c *Call) page(ctx context.Context, run func(context.Context, *Call) error) (string, error) {
	var page bytes.Buffer
	once := *c
	once.Out = &page
	err := run(ctx, &once)
	if errors.Is(err, control.ErrUnavailable) && !c.JSON && !passed(ctx) {
		return fmt.Sprintf("error: %s\n", Safe(err.Error())), nil
	}
	return page.String(), err
}

// view writes a page over the one before, where the terminal can; elsewhere
// below it, after an empty line.
type view struct {
	call  *Call
	every time.Duration
	lines int // of the page that is shown
}

func (v *view) show(page string) error {
	if !v.call.screen.Live || v.call.JSON {
		if v.lines > 0 && !v.call.JSON {
			page = "\n" + page
		}
		v.lines++
		_, err := v.call.Out.Write([]byte(page))
		return err
	}
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", v.lines) // up, and clear what is below
	}
	fit := v.fit(fmt.Sprintf("every %s; Ctrl-C ends it\n%s", v.every, page))
	v.lines = strings.Count(fit, "\n")
	b.WriteString(fit)
	_, err := v.call.Out.Write([]byte(b.String()))
	return err
}

// fit cuts a page to the screen: a line that wraps, or the first one scrolled
// away, could not be written over.
func (v *view) fit(page string) string {
	screen := v.call.screen
	var b strings.Builder
	left := screen.Height - 1
	for line := range strings.Lines(page) {
		if left--; left == 0 && screen.Height > 0 {
			b.WriteString("…\n")
			break
		}
		b.WriteString(clip(strings.TrimSuffix(line, "\n"), screen.Width) + "\n")
	}
	return b.String()
}
