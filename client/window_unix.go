//go:build unix

package client

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// resize tells the server about a new size of the terminal (RFC 4254 §6.7).
func (t *Terminal) resize(ctx context.Context, ch ssh.Channel) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	for {
		select {
		case <-changed:
			cols, rows := t.size()
			size := struct{ Cols, Rows, Width, Height uint32 }{cols, rows, 0, 0}
			_, _ = ch.SendRequest("window-change", false, ssh.Marshal(size)) // the session may have ended
		case <-ctx.Done():
			return
		}
	}
}
