package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/norestart/norestart/control"
)

// The exit statuses. There are no others; 255 is the transport's own, ssh(1)
// EXIT STATUS.
const (
	StatusOK        = 0
	StatusFailed    = 1
	StatusUsage     = 2
	StatusDenied    = 77
	StatusTimeout   = 124
	StatusUnknown   = 127
	StatusCancelled = 130
)

// statuses is the table of exit statuses for the documentation.
var statuses = []struct {
	status  int
	meaning string
}{
	{StatusOK, "done"},
	{StatusFailed, "failed, also in part: each failure is named on standard error"},
	{StatusUsage, "wrong usage, or a line that cannot be parsed; nothing ran"},
	{StatusDenied, "denied: the user's role, or what he is limited to, does not suffice"},
	{StatusTimeout, "timed out"},
	{StatusUnknown, "no such command"},
	{StatusCancelled, "cancelled"},
}

// controlStatus maps the codes of [control.Error]; what is missing is 1.
var controlStatus = map[string]int{
	control.ErrUsage.Code:   StatusUsage,
	control.ErrDenied.Code:  StatusDenied,
	control.ErrTimeout.Code: StatusTimeout,
}

// Causes of a cancelled context, to be told apart by [context.Cause]. Any
// other cause is the user's own wish (Ctrl-C), which cancels the job that the
// command waits for; with these the job goes on.
var (
	// ErrHangup is the cause when the one who asked has gone, or was sent away.
	ErrHangup = errors.New("connection closed")
	// ErrShellEnds is the cause when the worker that runs the command has been
	// told to end. For the command stop that is success: the shell goes last.
	ErrShellEnds = errors.New("this shell worker ends")
)

// Error is a failure as the user sees it.
type Error struct {
	Status  int      // exit status; 0 means 1
	Code    string   // stable word for programs; empty means "failed"
	Message string   // one line; empty: the text of Err
	Hint    string   // what to try instead; may be empty
	Lines   []string // what goes with it, such as the last lines of a worker that failed
	Details any      // more for programs: "details" of the JSON error
	Err     error    // the cause; may be nil

	quiet  bool   // who cancelled needs no line that says so
	column int    // of the line, where a person is shown what is meant; 0: none
	word   string // the same, by the word
	brief  string // the message beside the word that it is about
}

// at says which column of the line the error is about.
func (e *Error) at(column int) *Error {
	e.column = column
	return e
}

// about says which word of the line the error is about.
func (e *Error) about(word string) *Error {
	e.word = word
	return e
}

func (e *Error) Error() string {
	switch {
	case e == nil:
		return "no error"
	case e.Message == "" && e.Err != nil:
		return e.Err.Error()
	default:
		return e.Message
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	if e == nil { // a nil *Error in an error is the application's slip, not ours to panic at
		return nil
	}
	return e.Err
}

// Is reports whether target is an *Error of the same code and, if it names
// one, the same status.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Status == 0 || t.Status == e.Status)
}

// Usagef returns a usage error (exit status 2) with the text of format.
func Usagef(format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Status: StatusUsage, Code: "usage", Message: err.Error(), Err: errors.Unwrap(err)}
}

// failure turns what a command returned under ctx into what is shown. The
// result is a copy.
func failure(ctx context.Context, err error) *Error {
	f := classify(err)
	if f.Message == "" {
		f.Message = err.Error()
	}
	f.Err = err
	if _, ok := errors.AsType[*Error](err); !ok && ctx.Err() != nil && f.Status == StatusCancelled {
		f.quiet = true
	}
	if f.Status < 1 || f.Status > 254 {
		f.Status = StatusFailed
	}
	if f.Code == "" {
		f.Code = "failed"
	}
	// Whatever a command makes of being cancelled, cancelled it was.
	if f.Status == StatusFailed && ctx.Err() != nil {
		f.Status = StatusCancelled
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			f.Status = StatusTimeout
		}
	}
	return f
}

// also adds to what err says to do.
func also(err error, hint string) *Error {
	e := classify(err)
	e.Message, e.Err = err.Error(), err
	if e.Hint != "" {
		hint = e.Hint + "; " + hint
	}
	e.Hint = hint
	return e
}

func classify(err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok && own != nil {
		copied := *own
		copied.Message = err.Error() // with what wraps it
		return &copied
	}
	if c, ok := errors.AsType[*control.Error](err); ok && c != nil {
		return &Error{Status: controlStatus[c.Code], Code: c.Code, Hint: c.Hint}
	}
	switch {
	case err == context.DeadlineExceeded: // bare; what wraps it has more to say
		return &Error{Status: StatusTimeout, Code: control.ErrTimeout.Code, Message: "timed out"}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Status: StatusTimeout, Code: control.ErrTimeout.Code}
	case err == context.Canceled:
		return &Error{Status: StatusCancelled, Code: "cancelled", Message: "cancelled"}
	case errors.Is(err, context.Canceled), errors.Is(err, ErrHangup), errors.Is(err, ErrShellEnds):
		return &Error{Status: StatusCancelled, Code: "cancelled"}
	}
	return &Error{}
}
