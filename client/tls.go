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

// protocolName is how we introduce ourselves (ALPN): the server then marks what
// it sends.
const protocolName = "norestart"

// TLS is how to connect to the TLS line shell. The login itself, by password or
// by certificate, is part of the session.
type TLS struct {
	Target
	CA        string // file of the CA that signs servers; empty: the pinned fingerprint counts
	Cert, Key string // files of the client's certificate and key; empty: a password
	Pins      string // file of the fingerprints of servers, a line "HOST FINGERPRINT" each
	Person    *Person
	Timeout   time.Duration // 0: 20 s
}

// Dial connects. Once it has returned, ctx has no part in it any more; release
// ends the connection.
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
	var refused error // of ours
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		refused = t.verify(ctx, c, s)
		return refused
	}
	conn = tls.Client(nc, cfg)
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
		InsecureSkipVerify: true, // verify looks instead: at the pin, or at the CA
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
// CA the certificate has been verified already.
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
			Message: fmt.Sprintf("the certificate of %s is not known (%s) and nobody can be asked", host, print),
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

// pinned finds the fingerprint of a host; empty: there is none.
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

// explain says in our words why there is no connection.
func (t *TLS) explain(err error) error {
	if verify, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &TrustError{Message: fmt.Sprintf("the certificate of %s: %v", t.Addr(), verify.Err), Hint: "is it the right --tls-ca, and the name in the certificate?"}
	}
	return fmt.Errorf("%s: %w", t.Addr(), err)
}

// refused is the error when the server does not take our certificate. It does
// not say why; of one that has expired we know.
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
