package adminport

import (
	"context"

	"github.com/norestart/norestart/internal/commandline"
)

// bareKeys is the terminal while a command has it: the editor does nothing.
type bareKeys struct{ *terminal }

func (t *terminal) keyboard() (commandline.Keyboard, error) {
	if !t.open.TryLock() {
		return nil, errQuestion
	}
	t.in.setBare(true)
	return bareKeys{t}, nil
}

func (k bareKeys) Release() {
	k.in.setBare(false)
	k.open.Unlock()
}

func (k bareKeys) Write(p []byte) (int, error) { return k.raw.Write(p) }

func (k bareKeys) Read(ctx context.Context, p []byte) (int, error) {
	for {
		if n, err := k.in.takeBare(p); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-k.in.ready:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func (k bareKeys) Size() (columns, rows int) {
	size := k.ch.window()
	return size.cols, size.rows
}

func (k bareKeys) Resized() <-chan struct{} { return k.ch.resized }
