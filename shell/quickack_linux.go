package shell

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck asks the kernel to acknowledge at once what comes next. OpenSSH
// sets TCP_NODELAY only after login; until then each of its small packets
// waits for our acknowledgement, which the kernel delays by 40 ms. The option
// is not lasting (tcp(7)), so it is set again after each read.
func quickAck(c net.Conn) {
	inner, ok := c.(syscall.Conn) // not *net.TCPConn: a worker's listener wraps it
	if !ok {
		return
	}
	raw, err := inner.SyscallConn()
	if err != nil {
		return
	}
	// A failure only costs time.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}
