//go:build !unix

package client

import (
	"context"

	"golang.org/x/crypto/ssh"
)

// Resizes does nothing: this system does not tell of a new size.
func Resizes(chan<- struct{}) (stop func()) { return func() {} }

// resize does nothing: this system does not tell of a new size.
func (t *Terminal) resize(context.Context, ssh.Channel) {}
