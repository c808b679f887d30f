//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// stopCommand has nothing to stop: clusters run on Linux.
func stopCommand(streams) *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "End the workers that a dead primary left over (Linux only)", Hidden: true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("clusters run on Linux: use norestart exec from here")
		},
	}
}
