package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
)

// badFlag is a usage error in plain words if the flag is one letter.
func badFlag(_ *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() != "" {
		return commands.Usagef("unknown flag: -%s", unknown.GetSpecifiedShortnames())
	}
	return commands.Usagef("%w", err)
}

// hint adds a command to try to err.
func hint(err error, format string, args ...any) error {
	return commandline.Hint(err, fmt.Sprintf(format, args...))
}

// report prints err for a person, one line and its hint, and returns the exit
// status. An error that has only a status was reported already.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return commands.StatusOK
	}
	if told, ok := errors.AsType[*control.Error](err); ok && told.Error() == "" {
		return told.Status
	}
	f := commandline.Failure(context.Background(), err)
	if f.Status == commands.StatusUsage && f.Hint == "" {
		f.Hint = cmd.CommandPath() + " --help"
	}
	fmt.Fprintf(w, "norestart: %s\n", strings.ReplaceAll(f.Message, "\n", "; "))
	if f.Hint != "" {
		fmt.Fprintf(w, "hint: %s\n", f.Hint)
	}
	return f.Status
}
