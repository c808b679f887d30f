package shell

import (
	"context"
	"time"
)

// reloader is a store of users that reads its file again when it has changed.
type reloader interface {
	Reload() (changed bool, err error)
}

// watchUsers ends the sessions of users who are no longer there, within a
// second.
func (s *Server) watchUsers(ctx context.Context) {
	tick := time.NewTicker(revokeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.reloadUsers()
			s.revoke()
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) reloadUsers() {
	r, ok := s.host.Users.(reloader)
	if !ok {
		return
	}
	if _, err := r.Reload(); err != nil {
		s.logf("users: %v", err)
	}
}

func (s *Server) revoke() {
	for _, sess := range s.sessionList() {
		if sess.over() {
			continue
		}
		if _, ok := sess.role(); !ok {
			sess.drop(errRevoked)
			sess.end(errRevoked)
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
