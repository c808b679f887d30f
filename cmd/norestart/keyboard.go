package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/norestart/norestart/client"
	"github.com/norestart/norestart/internal/commandline"
)

// keyboard is our terminal while a command has it, in raw mode.
type keyboard struct {
	in      *client.Input
	tty     *os.File
	out     io.Writer
	before  *term.State
	resized chan struct{}
	stop    func()
}

func (c ctl) keyboard() (commandline.Keyboard, error) {
	before, err := term.MakeRaw(int(c.std.in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	k := &keyboard{in: client.NewInput(c.std.in), tty: c.std.in, out: c.std.out, before: before, resized: make(chan struct{}, 1)}
	k.stop = client.Resizes(k.resized)
	return k, nil
}

func (k *keyboard) Release() {
	k.stop()
	_ = term.Restore(int(k.tty.Fd()), k.before) // it has gone
}

func (k *keyboard) Read(ctx context.Context, p []byte) (int, error) { return k.in.Read(ctx, p) }

func (k *keyboard) Write(p []byte) (int, error) { return k.out.Write(p) }

func (k *keyboard) Size() (columns, rows int) {
	columns, rows, _ = term.GetSize(int(k.tty.Fd())) // 0: not known
	return columns, rows
}

func (k *keyboard) Resized() <-chan struct{} { return k.resized }
