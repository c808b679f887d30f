package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/norestart/norestart/internal/users"
)

var (
	errMismatch = errors.New("the passwords differ")
	errLongLine = fmt.Errorf("%w: more than %d bytes", users.ErrTooLong, users.MaxPassword)
)

// newPassword asks for a new password: twice without echo on a terminal, else
// one line of standard input.
func newPassword(std streams) (string, error) {
	password, err := readNew(std)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	if password == "" {
		return "", users.ErrEmpty
	}
	return password, nil
}

func readNew(std streams) (string, error) {
	if !term.IsTerminal(int(std.in.Fd())) {
		return readLine(std.in)
	}
	password, err := prompt(std, "Password: ")
	if err != nil || password == "" {
		return "", err
	}
	again, err := prompt(std, "Again: ")
	if err == nil && again != password {
		err = errMismatch
	}
	return password, err
}

// readLine reads up to the end of a line or of the input, not further: what
// follows is somebody else's.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) <= users.MaxPassword+len("\r"); {
		n, err := r.Read(b)
		if n == 1 && b[0] != '\n' {
			line = append(line, b[0])
		}
		if n == 1 && b[0] == '\n' || errors.Is(err, io.EOF) {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", errLongLine
}

// prompt reads a line from the terminal without echo.
func prompt(std streams, text string) (string, error) {
	fmt.Fprint(std.err, text)
	defer fmt.Fprintln(std.err)
	return hidden(std.in, readLine)
}

// hash is the hash of a new password, for those who need nothing else of it.
func hash(std streams) (string, error) {
	password, err := newPassword(std)
	if err != nil {
		return "", err
	}
	return users.Hash(password)
}

// open opens the file that the command line names; - is standard input. The
// function closes it.
func open(std streams, name string) (*os.File, func() error, error) {
	if name == "-" {
		return std.in, func() error { return nil }, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return f, f.Close, nil
}
