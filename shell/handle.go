package shell

import (
	gliderssh "github.com/gliderlabs/ssh"
)

// handle serves one ssh session. gliderlabs calls it on a goroutine of its
// own once the client has asked for a shell or a command.
func (s *Server) handle(gs gliderssh.Session) {
	ch, ok := gs.Context().Value(channelKey{}).(*channel)
	if !ok || !ch.conn.enter() {
		return
	}
	defer ch.conn.leave()
	defer ch.conn.survive("session")
	who, ok := identityOf(ch.sc.Permissions)
	if !ok || who.name != ch.sc.User() || who.name != gs.User() {
		ch.conn.end(errRefused)
		return
	}
	who.asked = ch.asked
	sess := s.newSession(ch.conn, "ssh", ch.conn.RemoteAddr().String(), who, ch.ctx, ch.interrupts)
	defer sess.close()
	ch.exit(ch.serve(sess))
}
