package commands

import (
	"errors"
	"fmt"

	"github.com/norestart/norestart/control"
)

// The exit statuses of norestart's own commands. A command of an application may
// have others, up to 254; 255 is the transport's own (ssh(1), EXIT STATUS).
const (
	StatusOK        = 0
	StatusFailed    = 1
	StatusUsage     = 2
	StatusDenied    = 77
	StatusTimeout   = 124
	StatusUnknown   = 127
	StatusCancelled = 130
)

// Error is a failure with more than its text: the exit status of the command, a
// code for programs, a hint. What the cluster answers is one, too.
type Error = control.Error

// Usagef returns a usage error (exit status 2) with the text of format.
func Usagef(format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: control.ErrUsage.Code, Message: err.Error(), Err: errors.Unwrap(err)}
}
