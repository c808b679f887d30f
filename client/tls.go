package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/norestart/norestart/certs"
)

// protocolName is our ALPN protocol. A server that knows it puts marks into its
// output.
const protocolName = "norestart"

// TLS says how to connect to the admin port over TLS. The login itself, by
// password or certificate, is part of the session.
type TLS struct {
	Target
	CA        string // file of the CA that signs servers; empty: the pinned fingerprint counts
	Cert, Key string // files of the client's certificate and key; empty: a password
	Pins      string // file of the fingerprints of servers, a line "HOST FINGERPRINT" each
	Person    *Person
	Timeout   time.Duration // 0: 20 s
}

// Dial connects. ctx ends only the attempt; release ends the connection.
func (t *TLS) Dial(ctx context.Context) (conn *tls.Conn, release func(), err error) {
	cfg, err := t.config()
	if err != nil {
		return nil, nil, err
	}
	limit := cmp.Or(t.Timeout, defaultTimeout)
	alive := net.KeepAliveConfig{Enable: true, Idle: keepalive, Interval: keepalive, Count: 3}
	nc, err := (&net.Dialer{Timeout: limit, KeepAliveConfig: alive}).DialContext(ctx, "tcp", t.Addr())
	if err != nil {
		return nil, nil, cmp.Or(context.Cause(ctx), err)
	}
	c := newClock(limit, nc)
	defer c.stop()
	cut := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer cut()
	release = func() { _ = nc.Close() }
	var refused error // our own reason
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		refused = t.verify(ctx, c, s)
		return refused
	}
	first := &recorded{Conn: nc}
	conn = tls.Client(first, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		release()
		switch {
		case refused != nil:
			return nil, nil, refused
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case c.expired():
			return nil, nil, fmt.Errorf("%s: no answer within %s", t.Addr(), limit)
		}
		if line := first.line(); line != "" {
			return nil, nil, fmt.Errorf("%s: no login: the server says: %s", t.Addr(), line)
		}
		return nil, nil, t.explain(err)
	}
	if conn.ConnectionState().NegotiatedProtocol != protocolName {
		release()
		return nil, nil, &LoginError{Message: t.Addr() + ": not an admin port that this program knows", Hint: "give another with -p"}
	}
	return conn, release, nil
}

func (t *TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: t.Host, NextProtos: []string{protocolName},
		InsecureSkipVerify: true, // verify checks instead: the pin, or the CA
	}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in PEM form", t.CA)
		}
		cfg.InsecureSkipVerify = false
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// verify compares the server's key with the one that was trusted before. With a
// CA the certificate is verified already.
func (t *TLS) verify(ctx context.Context, c *clock, s tls.ConnectionState) error {
	if t.CA != "" {
		return nil
	}
	host, print := t.Addr(), certs.TLSFingerprint(s.PeerCertificates[0])
	want, err := pinned(t.Pins, host)
	switch {
	case err != nil:
		return &TrustError{Message: fmt.Sprintf("known certificates: %v", err)}
	case want == print:
		return nil
	case want != "":
		return &TrustError{
			Message: fmt.Sprintf("WARNING: the certificate of %s has CHANGED: %s has %s, the server %s: somebody may be listening in", host, t.Pins, want, print),
			Hint:    fmt.Sprintf("only if you know why it changed: remove its line from %s", t.Pins),
		}
	case t.Person == nil:
		return &TrustError{
			Message: fmt.Sprintf("the certificate of %s is not known (%s) and there is no terminal to ask at", host, print),
			Hint:    "log in once on a terminal, or name the CA with --tls-ca",
		}
	}
	return c.hold(func() error {
		if err := trust(ctx, t.Person, host, "Its certificate's fingerprint", print); err != nil {
			return err
		}
		return remember(t.Pins, host+" "+print)
	})
}

// pinned returns the fingerprint of a host; empty: there is none.
func pinned(file, host string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return findPin(file, text, host)
}

func findPin(file string, text []byte, host string) (print string, err error) {
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0][0] == '#':
		case len(words) != 2 || !strings.HasPrefix(words[1], "SHA256:"):
			return "", fmt.Errorf("%s:%d: must be HOST:PORT SHA256:…", file, n)
		case words[0] == host:
			print = words[1]
		}
	}
	return print, nil
}

// explain says why there is no connection.
func (t *TLS) explain(err error) error {
	if verify, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &TrustError{Message: fmt.Sprintf("the certificate of %s: %v", t.Addr(), verify.Err), Hint: "is it the right --tls-ca, and the name in the certificate?"}
	}
	return fmt.Errorf("%s: %w", t.Addr(), err)
}

// refused returns the error of a server that does not accept our certificate. The
// server does not say why; we only see if it has expired.
func (t *TLS) refused(now time.Time) error {
	e := &LoginError{
		Message: fmt.Sprintf("%s: the server refuses the client certificate %s", t.Addr(), t.Cert),
		Hint:    "is it revoked, or of another CA? On the server: norestart cert list, norestart cert issue USER; its audit log says why",
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err == nil && now.After(pair.Leaf.NotAfter) {
		e.Message += ", which expired on " + pair.Leaf.NotAfter.UTC().Format(time.DateOnly)
		e.Hint = "on the server: norestart cert issue USER"
	}
	return e
}

// refusedCertificate reports whether the server ended the connection because
// of our certificate. In TLS 1.3 that comes with the first read (RFC 8446
// §4.4.2.4).
func refusedCertificate(err error) bool {
	alert, ok := errors.AsType[tls.AlertError](err)
	if !ok {
		op, isOp := errors.AsType[*net.OpError](err)
		return isOp && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate")
	}
	return strings.Contains(alert.Error(), "certificate")
}
