package builtin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func mailCommands() []commands.Command {
	return []commands.Command{
		{
			Name: "mail list", Role: commands.Viewer, Group: groupLook, Flags: watchFlags, Run: watched(0, 0, mailList),
			Summary: "the mailboxes of workers: what waits, what was handled",
			Help: "SENDING is how many messages the worker has sent that are not handled yet, QUEUED and\n" +
				"IN HAND how many it has received, SINCE how long the oldest has been in hand. HANDLED,\n" +
				"REFUSED and REPEATED are counted since its process was started.",
		},
		{
			Name: "send", Role: commands.Operator, Group: groupChange, Flags: sendFlags, Run: run(2, -1, sendMessage), Complete: first(ownPool),
			Usage: "POOL[/SLOT|/*] MESSAGE…", Summary: "send a message to a mailbox of the application",
			Help: "To one worker, to any worker of a pool that is ready, or to each of its workers. Ends\n" +
				"when the message was handled; with status 124 if that takes too long: it may be handled\n" +
				"yet, and the error says so. Several words have one space between them.",
		},
	}
}

func sendFlags(flags *pflag.FlagSet) {
	flags.Duration("timeout", 30*time.Second, "`time` for the message to be handled")
}

// workerMail is the mail of one worker.
type workerMail struct {
	Worker string `json:"worker"`
	control.MailInfo
	Since float64 `json:"since"` // in seconds, as all times in JSON
}

func mailList(ctx context.Context, call *Call) error {
	s, err := call.status(ctx)
	if err != nil {
		return err
	}
	all := []workerMail{}
	for _, p := range s.Pools {
		if p.BuiltIn {
			continue
		}
		err := call.ask(ctx, control.CallRequest{Pool: p.Name, Handler: control.HandlerMail}, func(r control.CallReply) error {
			w := workerMail{Worker: r.Worker}
			if r.Error != "" || json.Unmarshal(r.Data, &w.MailInfo) != nil {
				return nil // another program, or a library without mailboxes
			}
			w.Since = w.MailInfo.Since.Seconds()
			if w.Open || w.Sending > 0 {
				all = append(all, w)
			}
			return nil
		})
		if err != nil && !errors.Is(err, control.ErrUnavailable) {
			return err
		}
	}
	slices.SortFunc(all, func(a, b workerMail) int { return cmp.Compare(a.Worker, b.Worker) })
	if call.JSON {
		return call.WriteJSON(map[string]any{"mailboxes": all})
	}
	if len(all) == 0 {
		return call.write("no worker has a mailbox\n")
	}
	var rows [][]string
	for _, w := range all {
		since := "-"
		if w.InHand > 0 {
			since = took(w.MailInfo.Since)
		}
		rows = append(rows, []string{
			w.Worker, strconv.Itoa(w.Sending), strconv.Itoa(w.Queued), strconv.Itoa(w.InHand), since,
			strconv.FormatUint(w.Handled, 10), strconv.FormatUint(w.Refused, 10), strconv.FormatUint(w.Repeated, 10),
		})
	}
	return call.Table([]string{"WORKER", "SENDING", "QUEUED", "IN HAND", "SINCE", "HANDLED", "REFUSED", "REPEATED"}, rows...)
}

func sendMessage(ctx context.Context, call *Call) error {
	words := call.Args[1:]
	timeout, err := call.duration("timeout")
	if err != nil {
		return err
	}
	pool, _, _ := strings.Cut(words[0], "/")
	if _, err := call.ownPool(ctx, pool); err != nil {
		return err
	}
	by, err := call.sender(ctx, pool, words[0])
	if err != nil {
		return err
	}
	var answer control.CallReply
	err = call.ask(ctx, control.CallRequest{
		Pool: pool, Handler: control.HandlerMailSend, Args: []string{by, words[0], strings.Join(words[1:], " "), timeout.String()},
		Timeout: timeout + callMargin, // the worker knows more about what is late
	}, func(r control.CallReply) error {
		if r.Worker == by {
			answer = r
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case answer.Error != "":
		return notHandled(words[0], answer)
	case answer.Worker == "":
		return &control.Error{Code: control.ErrUnavailable.Code, Message: fmt.Sprintf("worker %s has just ended: the message may be handled", by), Hint: "mail list"}
	case call.JSON:
		return call.WriteJSON(map[string]any{"handled": true})
	}
	return call.write("handled\n")
}

// notHandled tells why, of several messages with a line for each.
func notHandled(to string, r control.CallReply) error {
	e := &control.Error{Code: "not_handled", Message: r.Error, Hint: "mail list"}
	if r.Code == control.ErrTimeout.Code {
		e.Code = r.Code
	}
	if lines := strings.Split(r.Error, "\n"); len(lines) > 1 {
		e.Message, e.Lines = fmt.Sprintf("%d workers of %s have not handled the message", len(lines), strings.TrimSuffix(to, "/*")), lines
	}
	return e
}

// sender is the worker that sends the message: the receiver itself, or any of the
// pool that is ready.
func (c *Call) sender(ctx context.Context, pool, to string) (string, error) {
	all, err := get(ctx, c.Primary, control.WorkersQuery{})
	if err != nil {
		return "", err
	}
	one, known := to != pool && to != pool+"/*", false
	for _, w := range all {
		if w.Pool != pool || one && w.ID != to {
			continue
		}
		known = true
		if w.State == control.Ready {
			return w.ID, nil
		}
	}
	switch {
	case one && !known:
		return "", &control.Error{Code: control.ErrNoWorker.Code, Message: fmt.Sprintf("no worker %q", to), Hint: control.ErrNoWorker.Hint}
	case one:
		return "", &control.Error{Code: control.ErrUnavailable.Code, Message: fmt.Sprintf("worker %s is not ready", to), Hint: "worker list"}
	case known:
		return "", &control.Error{Code: control.ErrUnavailable.Code, Message: fmt.Sprintf("no worker of %s is ready", to), Hint: "worker list"}
	}
	return "", &control.Error{Code: control.ErrNoPool.Code, Message: fmt.Sprintf("no pool %q", pool), Hint: control.ErrNoPool.Hint}
}
