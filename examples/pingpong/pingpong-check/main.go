// Pingpong-check compares the journals of a run of ../pingpong.
package main

import (
	"fmt"
	"os"

	"github.com/norestart/norestart/examples/pingpong"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pingpong-check DIR")
		os.Exit(2)
	}
	all, err := pingpong.Read(os.Args[1])
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s has no journals: name the --dir of a run of pingpong", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	result := pingpong.Compare(all)
	fmt.Print(result.Report())
	if !result.OK() {
		os.Exit(1)
	}
}
