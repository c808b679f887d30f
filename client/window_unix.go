//go:build unix

package client

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// Resizes gives a value to changed, which has room for one, when the terminal has
// another size, until stop is called.
func Resizes(changed chan<- struct{}) (stop func()) {
	signals, done, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGWINCH)
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
			case <-done:
				return
			}
			select {
			case changed <- struct{}{}:
			default: // one waits
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}

// resize tells the server about a new size of the terminal (RFC 4254 §6.7).
func (t *Terminal) resize(ctx context.Context, ch ssh.Channel) {
	changed := make(chan struct{}, 1)
	defer Resizes(changed)()
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
