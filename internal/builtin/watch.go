package builtin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

const (
	watchEvery = 2 * time.Second
	watchLeast = 100 * time.Millisecond
)

func watchFlags(flags *pflag.FlagSet) {
	flags.Duration("watch", 0, "show it anew every `time` until Ctrl-C")
	flags.Lookup("watch").NoOptDefVal = watchEvery.String()
	flags.Duration("for", 0, "stop watching after this `time`")
}

// watched lets a command show a state repeatedly.
func watched(least, most int, show func(context.Context, *Call) error) func(context.Context, *commands.Call) error {
	return run(least, most, func(ctx context.Context, call *Call) error {
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
			return show(ctx, call)
		case every == 0:
			every = watchEvery
		}
		return call.watch(ctx, max(every, watchLeast), limit, show)
	})
}

func (c *Call) watch(ctx context.Context, every, limit time.Duration, run func(context.Context, *Call) error) error {
	limited, cancel := bounded(ctx, limit)
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
		case c.in.Enough():
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

// bounded ends ctx after a time; 0 is no limit.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// passed reports whether the time of ctx is over. A read with that deadline may
// end a moment before ctx does.
func passed(ctx context.Context) bool {
	until, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(until)
}

// page is the output of one run, or, without a primary, its error: a primary may
// come back.
func (c *Call) page(ctx context.Context, run func(context.Context, *Call) error) (string, error) {
	var page bytes.Buffer
	once := *c.Call
	once.Out = &page
	err := run(ctx, &Call{&once, c.in})
	if errors.Is(err, control.ErrUnavailable) && !c.JSON && !passed(ctx) {
		return fmt.Sprintf("error: %s\n", commands.Safe(err.Error())), nil
	}
	return page.String(), err
}

// view writes a page over the one before, or below it if the terminal cannot.
type view struct {
	call  *Call
	every time.Duration
	lines int // of the page that is shown
}

func (v *view) show(page string) error {
	if !v.call.in.Screen.Live || v.call.JSON {
		if v.lines > 0 && !v.call.JSON {
			page = "\n" + page
		}
		v.lines++
		return v.call.write(page)
	}
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", v.lines) // up, and clear what is below
	}
	fit := v.fit(fmt.Sprintf("every %s; Ctrl-C ends it\n%s", v.every, page))
	v.lines = strings.Count(fit, "\n")
	b.WriteString(fit)
	return v.call.write(b.String())
}

// fit cuts a page to the screen: a line that wrapped or scrolled away could not
// be overwritten.
func (v *view) fit(page string) string {
	screen := v.call.in.Screen
	var b strings.Builder
	left := screen.Height - 1
	for line := range strings.Lines(page) {
		if left--; left == 0 && screen.Height > 0 {
			b.WriteString("…\n")
			break
		}
		b.WriteString(typeset.Clip(strings.TrimSuffix(line, "\n"), screen.Width) + "\n")
	}
	return b.String()
}
