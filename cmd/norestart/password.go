package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/norestart/norestart/client"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/users"
)

// minPassword is the least number of characters of a password: limits on logins
// only slow down guessing.
const minPassword = 8

var errMismatch = errors.New("the passwords differ")

// newPassword asks for a new password: twice without echo on a terminal, else
// one line of standard input.
func newPassword(std streams, force bool) (string, error) {
	password, err := readNew(std)
	switch {
	case errors.Is(err, client.ErrInterrupted), errors.Is(err, context.Canceled):
		return "", &control.Error{Status: commands.StatusCancelled}
	case err != nil:
		return "", fmt.Errorf("read password: %w", err)
	}
	if password == "" {
		return "", users.ErrEmpty
	}
	if n := utf8.RuneCountInString(password); n < minPassword && !force {
		return "", hint(fmt.Errorf("a password of %d characters: must have at least %d", n, minPassword), "choose a longer one, or --force")
	}
	return password, nil
}

func readNew(std streams) (string, error) {
	ctx, stop := untilEnd(context.Background())
	defer stop()
	in := client.NewInput(std.in)
	person := client.NewPerson(in, std.in, std.err)
	if person == nil {
		line, err := in.Line(ctx)
		if errors.Is(err, io.EOF) {
			err = nil // an empty password
		}
		return strings.TrimRight(string(line), "\r\n"), err
	}
	password, err := person.Secret(ctx, "Password: ")
	if err != nil || password == "" {
		return "", err
	}
	again, err := person.Secret(ctx, "Again: ")
	if err == nil && again != password {
		err = errMismatch
	}
	return password, err
}

// hash returns the hash of a new password.
func hash(std streams, force bool) (string, error) {
	password, err := newPassword(std, force)
	if err != nil {
		return "", err
	}
	return users.Hash(password)
}

// open opens the file that the command line names; - is standard input. Call
// the returned function to close it.
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
