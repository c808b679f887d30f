package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// statusError ends the program with a status. A nil err prints nothing: what
// there is to say has been said.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// usage marks err as wrong usage.
func usage(err error) error { return &statusError{status: statusUsage, err: err} }

// hintError is an error with a command to try.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// hint adds a command to try to err.
func hint(err error, format string, args ...any) error {
	return &hintError{err: err, hint: fmt.Sprintf(format, args...)}
}

// report tells err to a person, one line and its hint, and to the caller as a
// status.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return statusOK
	}
	status := statusFailed
	if s, ok := errors.AsType[*statusError](err); ok {
		status = s.status
		if s.err == nil {
			return status
		}
	}
	fmt.Fprintf(w, "norestart: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	if h, ok := errors.AsType[*hintError](err); ok {
		fmt.Fprintf(w, "hint: %s\n", h.hint)
	} else if status == statusUsage {
		fmt.Fprintf(w, "hint: %s --help\n", cmd.CommandPath())
	}
	return status
}
