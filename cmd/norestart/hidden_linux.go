package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// hidden calls read while the terminal does not show what is typed. The
// terminal is as before when it returns, and also when a signal ends the
// program. (term.ReadPassword leaves the echo off then, and spins on a terminal
// that has hung up.)
func hidden(tty *os.File, read func(io.Reader) (string, error)) (line string, err error) {
	fd := int(tty.Fd())
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	defer guard(fd, modes)()
	quiet := *modes
	quiet.Lflag &^= unix.ECHO
	quiet.Lflag |= unix.ICANON | unix.ISIG
	quiet.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return "", err
	}
	line, err = read(tty)
	restore := uint(unix.TCSETS)
	if err != nil {
		restore = unix.TCSETSF // the rest of a line is not for the shell
	}
	return line, errors.Join(err, unix.IoctlSetTermios(fd, restore, modes))
}

// guard watches for signals until the returned function is called.
func guard(fd int, modes *unix.Termios) (end func()) {
	signals, done := make(chan os.Signal, 8), make(chan struct{})
	signal.Notify(signals, unix.SIGTSTP)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(s) { // as under nohup(1)
			signal.Notify(signals, s)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { watch(fd, modes, signals, done) })
	return func() {
		signal.Stop(signals)
		close(done)
		wg.Wait()
	}
}

// watch restores the terminal before a signal does what it does without us. It
// suspends nothing, for the shell would turn the echo on again.
func watch(fd int, modes *unix.Termios, signals <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case s := <-signals:
			number, ok := s.(unix.Signal)
			if !ok || number == unix.SIGTSTP {
				continue
			}
			// Best effort: the program ends in any case.
			_ = unix.IoctlSetTermios(fd, unix.TCSETSF, modes)
			signal.Reset(s)
			_ = unix.Kill(unix.Getpid(), number)
		}
	}
}
