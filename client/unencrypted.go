package client

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/norestart/norestart/commands"
)

const (
	// maxSaid bounds what is kept of what a server says first, as for a line
	// before the version of ssh (RFC 4253 §4.2).
	maxSaid = 255
	// saidWithin is how long the rest of the line may take.
	saidWithin = time.Second
)

// recorded keeps the first words of the server: one that refuses the connection,
// or speaks another protocol, says so in a line that no handshake shows. It also
// knows whether the server has gone.
type recorded struct {
	net.Conn

	mu    sync.Mutex // a leaf
	said  []byte
	ended bool
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, p[:min(n, maxSaid-len(r.said))]...)
	r.ended = err != nil
	return n, err
}

func (r *recorded) hasEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// line is the first line of the server; empty if it is not text. It reads the
// rest of the line, because the handshake has failed.
func (r *recorded) line() string {
	_ = r.Conn.SetReadDeadline(time.Now().Add(saidWithin)) // a closed connection has no more
	for buf := make([]byte, maxSaid); ; {
		r.mu.Lock()
		line, _, whole := bytes.Cut(r.said, []byte("\n"))
		over := whole || len(r.said) == maxSaid || r.ended
		r.mu.Unlock()
		switch {
		case len(line) > 0 && line[0] < ' ': // a record of TLS (RFC 8446 §5.1)
			return ""
		case over:
			return commands.Safe(strings.TrimSpace(string(line)))
		}
		_, _ = r.Read(buf) // notes the end
	}
}
