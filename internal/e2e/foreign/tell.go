package main

import (
	"log"
	"os"
	"strings"
	"syscall"
)

// tellAndWait says words to NOTIFY_SOCKET in one message, and waits until it has
// been read (sd_notify_barrier(3)), as systemd-notify does.
func tellAndWait(words []string) {
	tell(strings.Join(words, "\n"))
	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	tellWith("BARRIER=1", int(w.Fd()))
	_ = w.Close()
	_, _ = r.Read(make([]byte, 1)) // its end
}

// tellWith is sd_pid_notify_with_fds(3).
func tellWith(state string, fds ...int) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer syscall.Close(fd)
	to := &syscall.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}
	if err := syscall.Sendmsg(fd, []byte(state), syscall.UnixRights(fds...), to, 0); err != nil {
		log.Fatal(err)
	}
}
