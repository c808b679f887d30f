//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// stopCommand has nothing to stop, clustersCommand nothing to list and
// doctorCommand nothing to look at.
func stopCommand(streams) *cobra.Command {
	return onLinux("stop", "End the workers that a dead primary left over")
}

func clustersCommand(streams) *cobra.Command { return onLinux("list", "List the clusters") }

// metricsCommand has nothing to ask: clusters run on Linux.
func metricsCommand(streams) *cobra.Command {
	return onLinux("metrics", "Print the metrics of a cluster")
}

func doctorCommand(streams) *cobra.Command {
	return onLinux("doctor", "Say what would bite a cluster here")
}

// onLinux is a command that says that clusters run on Linux.
func onLinux(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short + " (Linux only)", Hidden: true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("clusters run on Linux: use norestart exec from here")
		},
	}
}
