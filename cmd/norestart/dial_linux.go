package main

import (
	"context"
	"net"

	"github.com/norestart/norestart/internal/inherit"
)

// dialUnix connects to a socket, whose path may be longer than a socket address.
func dialUnix(ctx context.Context, path string) (*net.UnixConn, error) {
	return inherit.DialUnix(ctx, path)
}
