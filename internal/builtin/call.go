package builtin

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func callCommand() commands.Command {
	return commands.Command{
		Name: "call", Role: commands.Operator, Group: groupChange, Flags: callFlags, Run: run(2, -1, callPool), Complete: first(ownPool),
		Usage: "POOL HANDLER [ARG…]", Summary: "run a handler in every ready worker of a pool",
		Help: "Shows all answers, and fails if one worker fails, with status 124 if all of\n" +
			"these just did not answer in time. Where a worker does not run the generation of\n" +
			"its pool, as in a reload, its own is named, too. Put -- before words that look\n" +
			"like flags.",
	}
}

// callMargin is added to the time that the workers have.
const callMargin = 5 * time.Second

func callFlags(flags *pflag.FlagSet) {
	flags.Duration("timeout", control.DefaultCallTimeout, "`time` for each worker to answer")
}

// replyView is an answer for programs: text if it is text.
type replyView struct {
	Worker     string `json:"worker"`
	Generation int    `json:"generation"`
	Data       string `json:"data"`
	Base64     string `json:"data_base64,omitempty"` // instead of data, when that is not UTF-8
	Error      string `json:"error,omitempty"`
}

type replies struct {
	call  *Call
	pool  control.PoolStatus
	views []replyView
	lines []string // of those that failed
	late  int      // so many of them have not answered in time
}

func callPool(ctx context.Context, call *Call) error {
	words := call.Args[1:]
	timeout, err := call.duration("timeout")
	if err != nil {
		return err
	}
	pool, err := call.ownPool(ctx, words[0])
	if err != nil {
		return err
	}
	r := replies{call: call, pool: pool, views: []replyView{}}
	err = call.ask(ctx, control.CallRequest{
		Pool: words[0], Handler: words[1], Args: words[2:], Timeout: timeout,
	}, r.take)
	if err != nil {
		return err
	}
	return r.end(words[0])
}

// ask calls a handler in all ready workers of a pool.
func (c *Call) ask(ctx context.Context, r control.CallRequest, fn func(control.CallReply) error) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.Timeout, control.DefaultCallTimeout)+callMargin)
	defer cancel()
	return control.Watch(ctx, c.Primary, r, fn)
}

// ownPool is a pool of the application, as it is now; empty if there is none. It
// refuses built-in pools: they have commands of their own, with the roles that these
// need.
func (c *Call) ownPool(ctx context.Context, pool string) (p control.PoolStatus, err error) {
	s, err := c.status(ctx)
	if err != nil {
		return p, err
	}
	if i := slices.IndexFunc(s.Pools, func(p control.PoolStatus) bool { return p.Name == pool }); i >= 0 {
		p = s.Pools[i]
	}
	if p.BuiltIn {
		return p, &control.Error{Code: control.ErrDenied.Code, Message: fmt.Sprintf("denied: %s is built in: call asks only the application's pools", pool)}
	}
	return p, nil
}

// take shows an answer at once; failures are shown together at the end.
func (r *replies) take(reply control.CallReply) error {
	r.views = append(r.views, viewReply(reply))
	if reply.Error != "" {
		r.lines = append(r.lines, r.name(reply)+": "+reply.Error)
		if reply.Code == control.ErrTimeout.Code {
			r.late++
		}
		return nil
	}
	if r.call.JSON {
		return nil
	}
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSuffix(string(reply.Data), "\n") + "\n") {
		fmt.Fprintf(&b, "%s: %s\n", commands.Safe(r.name(reply)), commands.Safe(strings.TrimSuffix(line, "\n")))
	}
	return r.call.write(b.String())
}

// name tells the generation, too, if it is not that of the pool.
func (r *replies) name(reply control.CallReply) string {
	if reply.Generation == 0 || reply.Generation == r.pool.Generation {
		return reply.Worker
	}
	return fmt.Sprintf("%s (generation %d)", reply.Worker, reply.Generation)
}

func viewReply(reply control.CallReply) replyView {
	v := replyView{Worker: reply.Worker, Generation: reply.Generation, Error: reply.Error}
	if utf8.Valid(reply.Data) {
		v.Data = string(reply.Data)
	} else {
		v.Base64 = base64.StdEncoding.EncodeToString(reply.Data)
	}
	return v
}

// end fails if a worker did. With --json the error then has all answers, because
// a list on standard output is complete or not there.
func (r *replies) end(pool string) error {
	if len(r.views) == 0 {
		return &control.Error{Code: "no_answer", Message: fmt.Sprintf("no worker of %s is ready", pool), Hint: "worker list"}
	}
	if len(r.lines) > 0 {
		code := "partial"
		if r.late == len(r.lines) {
			code = control.ErrTimeout.Code
		}
		return &control.Error{
			Code:    code,
			Message: fmt.Sprintf("%d of %d workers failed", len(r.lines), len(r.views)),
			Lines:   r.lines, Details: map[string]any{"replies": r.views},
		}
	}
	if r.call.JSON {
		return r.call.WriteJSON(map[string]any{"replies": r.views})
	}
	return nil
}
