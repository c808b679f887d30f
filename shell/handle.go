package shell

// handle serves one ssh session, once the client has asked for a shell or a
// command.
func (s *Server) handle(ch *channel) {
	defer ch.conn.survive("session")
	who, ok := identityOf(ch.sc.Permissions)
	if !ok || who.name != ch.sc.User() {
		ch.conn.end(errRefused)
		return
	}
	who.asked = ch.asked
	sess := s.newSession(ch.conn, "ssh", ch.conn.RemoteAddr().String(), who, ch.ctx, ch.interrupts)
	defer sess.close()
	ch.exit(ch.serve(sess))
}
