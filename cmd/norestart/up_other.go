//go:build !linux

package main

import "github.com/spf13/cobra"

// launched does nothing: there are no workers to launch.
func launched() {}

// upCommand has nothing to run: clusters run on Linux.
func upCommand(streams) *cobra.Command { return onLinux("up", "Run programs") }
