package main

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// inForeground runs cmd as the foreground of the terminal on standard input,
// as a shell does. Ctrl-C is then for cmd alone: make and go, which would call
// it a failure, do not get it.
func inForeground(cmd *exec.Cmd) error {
	const tty = 0
	own := unix.Getpgrp()
	if group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP); err != nil || group != own {
		signal.Ignore(os.Interrupt) // in the background nobody types it
		return cmd.Run()
	}
	// No shell could continue what Ctrl-Z would stop. Inherited by cmd.
	signal.Ignore(unix.SIGTSTP)
	cmd.SysProcAttr = &syscall.SysProcAttr{Foreground: true, Ctty: tty}
	err := cmd.Run()
	signal.Ignore(unix.SIGTTOU) // taking the terminal back would stop us (tcsetpgrp(3))
	if back := unix.IoctlSetPointerInt(tty, unix.TIOCSPGRP, own); err == nil {
		err = back
	}
	return err
}
