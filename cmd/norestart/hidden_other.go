//go:build !linux

package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// hidden reads a line while the terminal does not show what is typed.
func hidden(tty *os.File, _ func(io.Reader) (string, error)) (string, error) {
	line, err := term.ReadPassword(int(tty.Fd()))
	return string(line), err
}
