package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/norestart/norestart/control"
)

// mailHandlers are those of the commands `mail list` and `send`; nil: the name is none
// of theirs.
func (w *Worker) mailHandlers(name string) Handler {
	switch name {
	case control.HandlerMail:
		return func(context.Context, []string) ([]byte, error) { return json.Marshal(w.mailInfo()) }
	case control.HandlerMailSend:
		return w.sendFor
	}
	return nil
}

func (w *Worker) mailInfo() control.MailInfo {
	info := control.MailInfo{Sending: w.mail.outbox.InFlight()}
	in := w.mail.box()
	if in == nil {
		return info
	}
	c := in.Counts()
	info.Open, info.Queued, info.InHand = true, c.Queued, c.InHand
	info.Handled, info.Refused, info.Repeated = c.Handled, c.Failed, c.Redelivered
	if !c.Since.IsZero() {
		info.Since = time.Since(c.Since)
	}
	return info
}

// sendFor sends for an operator. All workers of the pool are asked: only the one that
// is named sends.
func (w *Worker) sendFor(ctx context.Context, args []string) ([]byte, error) {
	if len(args) != 4 {
		return nil, control.ErrUsage
	}
	within, err := time.ParseDuration(args[3])
	if err != nil || args[0] != w.ID() {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no answer within %v", within))
	defer cancel()
	err = w.Send(ctx, args[1], []byte(args[2]))
	if err != nil && ctx.Err() != nil { // also of one among several
		err = &control.Error{Code: control.ErrTimeout.Code, Message: err.Error()}
	}
	return nil, err
}
