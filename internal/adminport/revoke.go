package adminport

import (
	"context"
	"time"
)

// watchUsers ends the sessions of users whose login no longer holds, within a
// second.
func (s *Server) watchUsers(ctx context.Context) {
	tick := time.NewTicker(revokeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.gate.reloadUsers()
			s.revoke()
			s.gate.tellMore(false)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) revoke() {
	for _, sess := range s.sessionList() {
		if sess.over() {
			continue
		}
		if _, ok := sess.role(); !ok {
			why := s.gate.revoked(sess.who)
			sess.drop(why)
			sess.end(why)
		}
	}
}

func (s *Server) sessionList() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*session, 0, len(s.sessions))
	for sess := range s.sessions {
		list = append(list, sess)
	}
	return list
}
