package commands

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
)

// callMargin is what the cluster may take beyond the time that its workers
// have.
const callMargin = 5 * time.Second

func callFlags(flags *pflag.FlagSet) {
	flags.Duration("timeout", control.DefaultCallTimeout, "`time` for each worker to answer")
}

// replyView is an answer for programs: text where it is text.
type replyView struct {
	Worker string `json:"worker"`
	Data   string `json:"data"`
	Base64 string `json:"data_base64,omitempty"` // instead of data, when that is not UTF-8
	Error  string `json:"error,omitempty"`
}

// replies collects what the workers of a pool said.
type replies struct {
	call  *Call
	views []replyView
	lines []string // of those that failed
}

func callPool(ctx context.Context, call *Call) error {
	words, err := call.Words(2, -1)
	if err != nil {
		return err
	}
	timeout, err := call.duration("timeout")
	if err != nil {
		return err
	}
	if err := call.ownPool(ctx, words[0]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout+callMargin)
	defer cancel()
	r := replies{call: call, views: []replyView{}}
	err = call.Primary.Call(ctx, control.CallRequest{
		Pool: words[0], Handler: words[1], Args: words[2:], Timeout: timeout,
	}, r.take)
	if err != nil {
		return err
	}
	return r.end(words[0])
}

// ownPool refuses the built-in pools: what their workers answer has commands of
// its own, with the roles that it takes.
func (c *Call) ownPool(ctx context.Context, pool string) error {
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(s.Pools, func(p control.PoolStatus) bool { return p.Name == pool && p.BuiltIn }) {
		return &Error{Status: StatusDenied, Code: control.ErrDenied.Code, Message: fmt.Sprintf("denied: %s is built in, its handlers are not for call", pool)}
	}
	return nil
}

// take shows an answer at once; the failures come together at the end.
func (r *replies) take(reply control.CallReply) error {
	r.views = append(r.views, viewReply(reply))
	if reply.Error != "" {
		r.lines = append(r.lines, reply.Worker+": "+reply.Error)
		return nil
	}
	if r.call.JSON {
		return nil
	}
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSuffix(string(reply.Data), "\n") + "\n") {
		fmt.Fprintf(&b, "%s: %s\n", Safe(reply.Worker), Safe(strings.TrimSuffix(line, "\n")))
	}
	_, err := r.call.Out.Write([]byte(b.String()))
	return err
}

func viewReply(reply control.CallReply) replyView {
	v := replyView{Worker: reply.Worker, Error: reply.Error}
	if utf8.Valid(reply.Data) {
		v.Data = string(reply.Data)
	} else {
		v.Base64 = base64.StdEncoding.EncodeToString(reply.Data)
	}
	return v
}

// end fails if a worker did. Programs then find all answers in the error, for
// what standard output has is complete.
func (r *replies) end(pool string) error {
	if len(r.views) == 0 {
		return &Error{Code: "no_answer", Message: fmt.Sprintf("no worker of %s is ready", pool), Hint: "worker list"}
	}
	if len(r.lines) > 0 {
		return &Error{
			Code:    "partial",
			Message: fmt.Sprintf("%d of %d workers failed", len(r.lines), len(r.views)),
			Lines:   r.lines, Details: map[string]any{"replies": r.views},
		}
	}
	if r.call.JSON {
		return r.call.WriteJSON(map[string]any{"replies": r.views})
	}
	return nil
}
