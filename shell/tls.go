package shell

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
)

// lineShell is the TLS line shell of one connection: a password, then a
// command per line. It is meant for `openssl s_client -quiet`, whose terminal
// echoes.
type lineShell struct {
	srv  *Server
	conn *conn
	tls  *tls.Conn
	out  io.Writer
	in   *lines
	who  identity

	gone context.Context
	hang context.CancelCauseFunc

	interrupts chan struct{} // 1 slot
}

// serveTLS serves a connection whose first byte was that of TLS.
func (c *conn) serveTLS() {
	if c.srv.host.TLS == nil {
		return
	}
	sh := &lineShell{srv: c.srv, conn: c, tls: tls.Server(c, c.srv.host.TLS), interrupts: make(chan struct{}, 1)}
	if err := sh.tls.HandshakeContext(c.ctx); err != nil {
		c.srv.refuse(c, fmt.Errorf("TLS: %w", err))
		return
	}
	c.said()
	sh.out = &output{w: sh.tls, limit: c.srv.cfg.StallTimeout, stalled: func() { c.end(errStalled) }}
	sh.gone, sh.hang = context.WithCancelCause(context.Background())
	defer sh.hang(commands.ErrHangup)
	sh.in = readLines(hangupReader{sh.tls, sh.hang, func() { poke(sh.interrupts) }}, c.start)
	defer sh.in.close()
	if !sh.login() || !c.openSession(1) {
		return
	}
	defer c.closeSession()
	c.loggedIn()
	sh.serve()
}

// hangupReader tells a peer that has said goodbye (close_notify: io.EOF) from
// one that is gone. The lines of the former are still run to their end.
type hangupReader struct {
	io.Reader
	hang   context.CancelCauseFunc
	cancel func() // for each Ctrl-C
}

func (r hangupReader) Read(p []byte) (int, error) {
	n, err := 0, error(nil)
	for n == 0 && err == nil && len(p) > 0 {
		n, err = r.Reader.Read(p)
		n = withoutCancel(p[:n], r.cancel)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.hang(commands.ErrHangup)
	}
	return n, err
}

// login takes a client's certificate, which the handshake has verified, or asks
// for the password.
func (sh *lineShell) login() bool {
	if state := sh.tls.ConnectionState(); len(state.PeerCertificates) > 0 {
		return sh.loginByCertificate(&state)
	}
	return sh.loginByPassword()
}

// loginByCertificate lets in the user whom the certificate names, without a
// password; nobody else is asked for one.
func (sh *lineShell) loginByCertificate(state *tls.ConnectionState) bool {
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	sh.who = identity{
		name: holder(leaf), addr: addrOf(sh.conn), peer: state,
		key: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
	}
	sh.srv.reloadUsers()
	r := sh.record(audit.EventLogin, sh.who.reason(""))
	r.Key = sh.who.key
	if _, ok := sh.srv.still(sh.who); ok {
		_ = sh.srv.audit(r) // said in the log; admin commands are refused without one
		return true
	}
	r.Event, r.Reason = audit.EventRefused, r.Reason+": "+errRefused.Error()
	sh.conn.refused.Store(true)
	_ = sh.srv.audit(r) // nobody is let in
	fmt.Fprintln(sh.out, "Permission denied.")
	return false
}

// holder is the user whom a certificate names: its common name, or, where it
// has none, its only DNS name.
func holder(cert *x509.Certificate) string {
	if cert.Subject.CommonName == "" && len(cert.DNSNames) == 1 {
		return cert.DNSNames[0]
	}
	return cert.Subject.CommonName
}

// loginByPassword asks for the password, three times at most.
func (sh *lineShell) loginByPassword() bool {
	sh.who = identity{name: sh.srv.cfg.TLSUser, addr: addrOf(sh.conn)}
	for try := range maxPasswords {
		if _, err := io.WriteString(sh.out, sh.prompt("password", "Password: ")); err != nil {
			return false
		}
		password, err := sh.in.next(sh.gone, sh.conn.ctx)
		if err != nil {
			return false
		}
		sh.conn.srv.reloadUsers()
		hash, err := sh.conn.checkPassword(sh.who.name, []byte(password))
		if err != nil {
			return false
		}
		if hash != "" {
			sh.who.hash = hash
			_ = sh.srv.audit(sh.record(audit.EventLogin, "password")) // said in the log; admin commands are refused without one
			return true
		}
		_ = sh.srv.audit(sh.record(audit.EventRefused, "password: "+errRefused.Error())) // nobody is let in
		sh.srv.failedLogin(sh.conn, sh.who.name)
		if try == 0 {
			sh.conn.slot.penalize(penaltyAuthFail)
		}
		fmt.Fprintln(sh.out, "Permission denied.")
	}
	return false
}

func (sh *lineShell) record(e Event, reason string) Record {
	return Record{Event: e, Via: "tls", User: audit.Quote(sh.who.name), From: sh.conn.RemoteAddr().String(), Reason: reason}
}

// serve runs lines until the peer leaves.
func (sh *lineShell) serve() {
	who := sh.who
	sess := sh.srv.newSession(sh.conn, "tls", sh.conn.RemoteAddr().String(), who, sh.gone, sh.interrupts)
	defer sess.close()
	defer sh.bye()
	sh.out = sess.output(sh.tls, sh.conn)
	fmt.Fprintln(sh.out, sh.srv.greeting(sess.gone, who.name))
	last := commands.StatusOK
	for !sess.over() && !sess.left.Load() {
		if _, err := io.WriteString(sh.out, sh.prompt("prompt", "> ")); err != nil {
			return
		}
		text, err := sh.next(sess)
		switch {
		case errors.Is(err, errLongLine):
			fmt.Fprintf(sh.out, "error: %v\n", err)
			continue
		case err != nil && !sess.over():
			return
		case err != nil || blank(text):
			continue
		}
		sess.remember(text)
		last = sess.run(request{
			line: text, mode: commands.Interactive, out: sh.out, err: sh.out, width: wantCols,
			ask: func(ctx context.Context, prompt string) (string, error) {
				return askPlain(ctx, sh.in, sh.out, sh.prompt("ask", prompt))
			},
			mark: marks(sh.own()),
		})
		sh.tell("end", strconv.Itoa(last))
	}
	if sess.over() && !sh.own() {
		fmt.Fprintln(sh.out) // after the prompt
	}
	sess.sayWhy(sh.out)
	sh.over(sess, last)
}

// next waits for a line, no longer than a session may idle.
func (sh *lineShell) next(sess *session) (string, error) {
	idle := time.AfterFunc(sh.srv.cfg.IdleTimeout, func() { sess.end(errIdle) })
	defer idle.Stop()
	for {
		text, err := sh.in.next(sess.gone, sess.life)
		if err != nil || !sh.enquired(sess, text) {
			return text, err
		}
		idle.Reset(sh.srv.cfg.IdleTimeout)
	}
}

// bye says goodbye and lets the peer read what was written: closing a socket
// with unread input would reset it (RFC 1122 §4.2.2.13).
func (sh *lineShell) bye() {
	if err := sh.tls.CloseWrite(); err != nil {
		return
	}
	if tcp, ok := sh.conn.Conn.(interface{ CloseWrite() error }); ok {
		_ = tcp.CloseWrite() // the peer may have gone
	}
	ctx, cancel := context.WithTimeout(sh.gone, farewell)
	defer cancel()
	for {
		if _, err := sh.in.next(ctx, sh.conn.ctx); err != nil && !errors.Is(err, errLongLine) {
			return
		}
	}
}

// strictTLS returns a copy with what must not be forgotten: TLS 1.3, no
// tickets, with which a session outlives a change of the configuration, and no
// certificate that nobody judges.
func strictTLS(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		return nil
	}
	cfg = cfg.Clone()
	cfg.MinVersion = tls.VersionTLS13
	cfg.SessionTicketsDisabled = true
	cfg.GetConfigForClient = nil
	if cfg.VerifyConnection == nil {
		cfg.ClientAuth = tls.NoClientCert
	}
	return offerOwn(cfg)
}
