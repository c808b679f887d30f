package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// alone takes a lock that the process holds until it has gone, and ends it if
// another process of the slot has it.
func alone(slot int) error {
	fd, err := unix.Open(fmt.Sprintf("alone.%d.lock", slot), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
		fmt.Printf("faulty: slot %d has two processes\n", slot)
		os.Exit(7)
	}
	return nil
}
