package shell

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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

	gone context.Context
	hang context.CancelCauseFunc
}

// serveTLS serves a connection whose first byte was that of TLS.
func (c *conn) serveTLS() {
	if c.srv.host.TLS == nil {
		return
	}
	sh := &lineShell{srv: c.srv, conn: c, tls: tls.Server(c, c.srv.host.TLS)}
	if err := sh.tls.HandshakeContext(c.ctx); err != nil {
		c.srv.refuse(c, fmt.Errorf("TLS: %w", err))
		return
	}
	c.said()
	sh.out = &output{w: sh.tls, limit: c.srv.cfg.StallTimeout, stalled: func() { c.end(errStalled) }}
	sh.gone, sh.hang = context.WithCancelCause(context.Background())
	defer sh.hang(commands.ErrHangup)
	sh.in = readLines(hangupReader{sh.tls, sh.hang}, c.start)
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
	hang context.CancelCauseFunc
}

func (r hangupReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.hang(commands.ErrHangup)
	}
	return n, err
}

// login asks for the password, three times at most.
func (sh *lineShell) login() bool {
	name := sh.srv.cfg.TLSUser
	for try := range maxPasswords {
		if _, err := io.WriteString(sh.out, "Password: "); err != nil {
			return false
		}
		password, err := sh.in.next(sh.gone, sh.conn.ctx)
		if err != nil {
			return false
		}
		sh.conn.srv.reloadUsers()
		ok, err := sh.conn.checkPassword(name, []byte(password))
		if err != nil {
			return false
		}
		r := Record{Event: audit.EventLogin, Via: "tls", User: audit.Quote(name), From: sh.conn.RemoteAddr().String(), Reason: "password"}
		if ok {
			_ = sh.srv.audit(r) // said in the log; admin commands are refused without one
			return true
		}
		r.Event, r.Reason = audit.EventRefused, "password: "+errRefused.Error()
		_ = sh.srv.audit(r) // nobody is let in
		sh.srv.failedLogin(sh.conn, name)
		if try == 0 {
			sh.conn.slot.penalize(penaltyAuthFail)
		}
		fmt.Fprintln(sh.out, "Permission denied.")
	}
	return false
}

// serve runs lines until the peer leaves.
func (sh *lineShell) serve() {
	who := identity{name: sh.srv.cfg.TLSUser}
	sess := sh.srv.newSession(sh.conn, "tls", sh.conn.RemoteAddr().String(), who, sh.gone, nil)
	defer sess.close()
	defer sh.bye()
	sh.out = sess.output(sh.tls, sh.conn)
	fmt.Fprintln(sh.out, sh.srv.greeting(sess.gone, who.name))
	for !sess.over() && !sess.left.Load() {
		if _, err := io.WriteString(sh.out, "> "); err != nil {
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
		sess.run(request{
			line: text, mode: commands.Interactive, out: sh.out, err: sh.out, width: wantCols,
			ask: func(ctx context.Context, prompt string) (string, error) {
				return askPlain(ctx, sh.in, sh.out, prompt)
			},
		})
	}
	if sess.over() {
		fmt.Fprintln(sh.out) // after the prompt
	}
	sess.sayWhy(sh.out)
}

// next waits for a line, no longer than a session may idle.
func (sh *lineShell) next(sess *session) (string, error) {
	idle := time.AfterFunc(sh.srv.cfg.IdleTimeout, func() { sess.end(errIdle) })
	defer idle.Stop()
	return sh.in.next(sess.gone, sess.life)
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
