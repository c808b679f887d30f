package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/control"
)

func versionCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of norestart and of Go",
		Args:  exact(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(std.out, "norestart %s\n", version())
			return err
		},
	}
}

func version() string {
	return fmt.Sprintf("%s %s %s/%s", control.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
