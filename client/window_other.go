//go:build !unix

package client

import (
	"context"

	"golang.org/x/crypto/ssh"
)

// resize does nothing: nothing tells of a new size here.
func (t *Terminal) resize(context.Context, ssh.Channel) {}
