package adminport

import (
	"net"

	"golang.org/x/sys/unix"
)

// quickAck asks the kernel to acknowledge the next input at once. OpenSSH sets
// TCP_NODELAY only after login; until then each of its small packets waits for
// our acknowledgement, which the kernel delays by 40 ms. The option does not last
// (tcp(7)), so it is set again after each read.
func quickAck(c net.Conn) {
	onSocket(c, func(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }) // a failure only costs time
}
