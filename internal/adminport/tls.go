package adminport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
)

// lineShell is the TLS line shell of one connection: a password, then a command
// per line. It is meant for `openssl s_client -quiet`, whose terminal echoes.
type lineShell struct {
	srv  *Server
	conn *conn
	tls  *tls.Conn
	out  io.Writer
	in   *lines
	who  identity

	gone context.Context
	hang context.CancelCauseFunc

	interrupts chan struct{}
}

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
	defer sh.hang(commandline.ErrHangup)
	sh.in = readLines(hangupReader{sh.tls, sh.hang, func() { poke(sh.interrupts) }}, c.start)
	defer sh.in.close()
	if !sh.login() {
		return
	}
	if err := c.takePlace(sh.who.name); err != nil {
		fmt.Fprintf(sh.out, "%v, try again later\n", err)
		c.srv.refuse(c, err)
		return
	}
	if !c.openSession(1) {
		return
	}
	defer c.closeSession()
	c.loggedIn()
	sh.serve()
}

// hangupReader tells a peer that said goodbye (close_notify: io.EOF) from one
// that is gone. The lines of the former are still run.
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
		r.hang(commandline.ErrHangup)
	}
	return n, err
}

func (sh *lineShell) login() bool {
	if state := sh.tls.ConnectionState(); len(state.PeerCertificates) > 0 {
		return sh.loginByCertificate(&state)
	}
	return sh.loginByPassword()
}

// loginByCertificate logs in the user that the certificate names, without a
// password.
func (sh *lineShell) loginByCertificate(state *tls.ConnectionState) bool {
	sh.who = peerIdentity(state, addrOf(sh.conn))
	sh.srv.gate.reloadUsers()
	r := sh.record(audit.EventLogin, sh.who.reason(""))
	r.Key = sh.who.key
	if _, ok := sh.srv.gate.still(sh.who); ok {
		_ = sh.srv.gate.audit(r) // a login without a record may not run admin commands
		return true
	}
	r.Event, r.Reason = audit.EventRefused, r.Reason+": "+errRefused.Error()
	sh.conn.refused.Store(true)
	_ = sh.srv.gate.audit(r) // the client is refused either way
	fmt.Fprintln(sh.out, "Permission denied.")
	return false
}

func (sh *lineShell) loginByPassword() bool {
	sh.who = identity{name: sh.srv.cfg.TLSUser, addr: addrOf(sh.conn)}
	if sh.conn.admission.keyOnly {
		fmt.Fprintln(sh.out, "Permission denied.")
		return false
	}
	for range maxPasswords {
		if _, err := io.WriteString(sh.out, sh.prompt("password", "Password: ")); err != nil {
			return false
		}
		password, err := sh.in.next(sh.gone, sh.conn.ctx)
		if err != nil {
			return false
		}
		sh.conn.srv.gate.reloadUsers()
		hash, err := sh.conn.srv.gate.checkPassword(sh.conn.ctx, sh.conn.admission, sh.who.name, []byte(password))
		if err != nil {
			return false
		}
		if hash != "" {
			sh.who.hash = hash
			_ = sh.srv.gate.audit(sh.record(audit.EventLogin, "password")) // a login without a record may not run admin commands
			return true
		}
		_ = sh.srv.gate.audit(sh.record(audit.EventRefused, "password: "+errRefused.Error())) // the client is refused either way
		sh.srv.gate.wrongPassword(sh.conn.admission, sh.who.name, sh.conn.RemoteAddr())
		sh.conn.blame(penaltyAuthFail)
		fmt.Fprintln(sh.out, "Permission denied.")
	}
	return false
}

func (sh *lineShell) record(e audit.Event, reason string) audit.Record {
	return audit.Record{Event: e, Via: "tls", User: audit.Quote(sh.who.name), From: sh.conn.RemoteAddr().String(), Reason: reason}
}

func (sh *lineShell) serve() {
	who := sh.who
	sess := sh.srv.newSession(sh.conn, "tls", sh.conn.RemoteAddr().String(), who, sh.gone, sh.interrupts)
	defer sess.close()
	defer sh.bye()
	sh.out = sess.output(sh.tls, sh.conn)
	fmt.Fprintln(sh.out, sh.srv.greeting(sess.gone, who.name))
	last := commands.StatusOK
	for !sess.over() && !sess.left.Load() {
		sess.sayOutdated(sh.out)
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
			mark: marks(sh.isOurs()),
		})
		sh.tell("end", strconv.Itoa(last))
	}
	if sess.over() && !sh.isOurs() {
		fmt.Fprintln(sh.out)
	}
	sess.sayWhy(sh.out)
	sh.over(sess, last)
}

// next waits for a line, as long as a session may be idle.
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

// strictTLS returns a copy with TLS 1.3, without tickets, by which a session
// would outlive a change of the configuration, and without certificates that
// nothing judges.
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
	// Clients that name no protocol, as openssl s_client, are served, too.
	cfg.NextProtos = append([]string{ourProtocol}, cfg.NextProtos...)
	return cfg
}
