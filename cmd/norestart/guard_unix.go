//go:build unix

package main

import (
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// guard keeps the terminal whole while its echo is off: a signal that ends the
// program restores it first and then does what it would have done, and nothing
// suspends the program, for the shell would turn the echo on again. The returned
// function ends the guard.
func guard(tty *os.File) (func(), error) {
	state, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return nil, err
	}
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGTSTP)
	var wg sync.WaitGroup
	wg.Go(func() { watch(int(tty.Fd()), state, signals, done) })
	return func() {
		signal.Stop(signals)
		close(done)
		wg.Wait()
	}, nil
}

func watch(fd int, state *term.State, signals <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case s := <-signals:
			if s == unix.SIGTSTP {
				continue
			}
			// Best effort: the program ends in any case.
			_ = term.Restore(fd, state)
			signal.Reset(s)
			_ = unix.Kill(unix.Getpid(), s.(unix.Signal))
		}
	}
}
