package adminport

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// sniffWait is how long a client may be silent before it counts as one of the ssh
// clients that wait for the server's version (ssh-keyscan, nmap).
const sniffWait = 400 * time.Millisecond

type protocol string

const (
	protoSSH protocol = "ssh"
	protoTLS protocol = "tls"
)

var errProtocol = errors.New("neither ssh nor TLS")

// sniff tells by the first byte which protocol the client speaks. The byte is
// kept for the next Read.
func (c *conn) sniff() (protocol, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(sniffWait)); err != nil {
		return "", fmt.Errorf("sniff: %w", err)
	}
	n, err := io.ReadFull(c.Conn, c.first[:])
	if err := c.Conn.SetReadDeadline(time.Time{}); err != nil {
		return "", fmt.Errorf("sniff: %w", err)
	}
	quickAck(c.Conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return protoSSH, nil
	}
	if err != nil {
		return "", fmt.Errorf("sniff: %w", err)
	}
	c.kept = n
	switch c.first[0] {
	case 0x16: // TLS record of type handshake (RFC 8446 §5.1)
		return protoTLS, nil
	case 'S': // "SSH-" (RFC 4253 §4.2)
		// A client that says SSH-1.5 may go on: it fails at the key exchange, and
		// its source gets the usual penalty.
		return protoSSH, nil
	}
	return "", errProtocol
}
