package commandline

import (
	"cmp"
	"context"
	"errors"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// statuses is the table of exit statuses for the documentation.
var statuses = []struct {
	status  int
	meaning string
}{
	{commands.StatusOK, "done"},
	{commands.StatusFailed, "failed, wholly or in part: standard error names each failure"},
	{commands.StatusUsage, "wrong usage, or a line that cannot be parsed; nothing ran"},
	{commands.StatusDenied, "denied: the user's role or list of commands does not allow it"},
	{commands.StatusTimeout, "timed out"},
	{commands.StatusUnknown, "no such command"},
	{commands.StatusCancelled, "cancelled"},
}

// Codes of errors beside those of package control.
const (
	CodeCancelled = "cancelled"

	codeUnparsable = "unparsable"
	codeUnknown    = "unknown_command"
	codeAmbiguous  = "ambiguous_command"
)

// statusOf is the exit status of an error by its code; 1 if the code is not here.
var statusOf = map[string]int{
	control.ErrUsage.Code:   commands.StatusUsage,
	control.ErrDenied.Code:  commands.StatusDenied,
	control.ErrTimeout.Code: commands.StatusTimeout,
	CodeCancelled:           commands.StatusCancelled,
	codeUnparsable:          commands.StatusUsage,
	codeUnknown:             commands.StatusUnknown,
	codeAmbiguous:           commands.StatusUnknown,
}

// Causes of a cancelled context, for [context.Cause]. With these the job that the
// command waits for goes on; any other cause means that the user cancelled the
// command (Ctrl-C), and with it the job.
var (
	// ErrHangup is the cause when the session has ended: the user has hung up, or
	// the session was ended by an operator.
	ErrHangup = errors.New("connection closed")
	// ErrShellEnds is the cause when the worker that runs the command has been
	// told to end. For the command stop that is success: the shell goes last.
	ErrShellEnds = errors.New("this shell worker is ending")
)

// Failure makes of an error under ctx what is shown: a copy with code, message
// and exit status.
func Failure(ctx context.Context, err error) *control.Error {
	f := classify(err)
	if f.Message == "" {
		f.Message = err.Error()
	}
	f.Err = err
	f.Status = cmp.Or(f.Status, statusOf[f.Code], commands.StatusFailed)
	if f.Code == "" {
		f.Code = "failed"
	}
	// A command may return any error when it is cancelled.
	if f.Status == commands.StatusFailed && ctx.Err() != nil {
		f.Status = commands.StatusCancelled
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			f.Status = commands.StatusTimeout
		}
	}
	return f
}

// Hint adds advice to the hint of err.
func Hint(err error, hint string) *control.Error {
	e := classify(err)
	e.Message, e.Err = err.Error(), err
	if e.Hint != "" {
		hint = e.Hint + "; " + hint
	}
	e.Hint = hint
	return e
}

func classify(err error) *control.Error {
	if own, ok := errors.AsType[*control.Error](err); ok && own != nil {
		copied := *own
		copied.Message = err.Error() // with what wraps it
		return &copied
	}
	switch {
	case err == context.DeadlineExceeded: // bare; what wraps it has more to say
		return &control.Error{Code: control.ErrTimeout.Code, Message: "timed out"}
	case errors.Is(err, context.DeadlineExceeded):
		return &control.Error{Code: control.ErrTimeout.Code}
	case err == context.Canceled:
		return &control.Error{Code: CodeCancelled, Message: "cancelled"}
	case leftAlone(err):
		return &control.Error{Code: CodeCancelled}
	}
	return &control.Error{}
}

// leftAlone reports whether nobody waits for the command any more.
func leftAlone(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, ErrHangup) || errors.Is(err, ErrShellEnds)
}

// quiet reports whether an error needs no line, because the user cancelled.
func quiet(ctx context.Context, err error) bool {
	_, more := errors.AsType[*control.Error](err)
	return !more && ctx.Err() != nil && leftAlone(err)
}
