package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/norestart/norestart/commands"
)

// cacheDrop is the command of an application that can make room.
var cacheDrop = commands.Command{
	Name: "cache drop", Role: commands.Operator, Summary: "make room: remove what the cache holds",
	Run: func(_ context.Context, call *commands.Call) error {
		files, err := filepath.Glob("disk/cache/*")
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
		fmt.Fprintf(call.Out, "removed: %d\n", len(files))
		return nil
	},
}
