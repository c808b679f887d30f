package audit

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The sockets of journald and syslog.
const (
	journalSocket = "/run/systemd/journal/socket"
	syslogSocket  = "/dev/log"
)

// sink sends the copies: a datagram for each record, without waiting. A
// datagram that is not taken at once is lost: the file is the log.
type sink struct {
	fd   int // -1: this machine has no such socket
	path string
}

func openSink(paths []string) *sink {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Type() != os.ModeSocket {
			continue
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err == nil {
			return &sink{fd: fd, path: path}
		}
	}
	return &sink{fd: -1}
}

func (s *sink) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd) // nothing is buffered
		s.fd = -1
	}
}

// send sends a copy. It names the socket each time, because journald may have
// been restarted.
func (s *sink) send(line []byte, r Record) {
	if s.fd < 0 {
		return
	}
	message := syslog(line, r)
	if s.path != syslogSocket {
		message = journal(line, r)
	}
	_ = unix.Sendto(s.fd, message, unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: s.path})
}

// Levels of syslog(3).
const (
	levelWarning = 4
	levelInfo    = 6
	facilityAuth = 10 // LOG_AUTHPRIV
)

func level(r Record) int {
	switch r.Event {
	case EventRefused, EventDenied:
		return levelWarning
	}
	return levelInfo
}

// journal is the native form of journald: NAME=VALUE lines. A record holds no
// line break.
func journal(line []byte, r Record) []byte {
	return fmt.Appendf(nil, "SYSLOG_IDENTIFIER=norestart\nSYSLOG_FACILITY=%d\nPRIORITY=%d\nMESSAGE=%s\n", facilityAuth, level(r), line)
}

// syslog is the form of RFC 3164 that local syslogs take without a time.
func syslog(line []byte, r Record) []byte {
	return fmt.Appendf(nil, "<%d>norestart[%d]: %s", facilityAuth*8+level(r), os.Getpid(), line)
}
