package adminport

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/sessions"
)

type Handler func(ctx context.Context, args []string) ([]byte, error)

// Handlers answer the commands session list, end, blocked and unblock, which ask
// every process of the admin port. The caller registers them with its worker. The
// right to ask is the grant of the pool that asks, and the role of those
// commands.
func (s *Server) Handlers() map[string]Handler {
	return map[string]Handler{
		sessions.HandlerList:     func(context.Context, []string) ([]byte, error) { return json.Marshal(s.describeSessions()) },
		sessions.HandlerBlocked:  func(context.Context, []string) ([]byte, error) { return json.Marshal(s.gate.limits.blocked()) },
		sessions.HandlerEnd:      s.answerEnd,
		sessions.HandlerUnblock:  s.answerUnblock,
		sessions.HandlerCommands: s.answerCommands,
	}
}

// Commands is a digest of names, arguments and roles of the commands.
func (s *Server) Commands() string {
	var all []string
	for _, c := range s.registry.Visible(commands.Admin) {
		all = append(all, fmt.Sprintf("%s\x00%s\x00%d\n", c.Name, c.Usage, c.Role))
	}
	slices.Sort(all)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(all, ""))))
}

// answerCommands lets each session be told once if a newer process of the admin
// port has other commands.
func (s *Server) answerCommands(_ context.Context, args []string) ([]byte, error) {
	if len(args) != 1 {
		return nil, errors.New("want a digest of commands")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.outdated
	s.outdated = args[0] != s.Commands()
	if s.outdated && !before {
		for sess := range s.sessions {
			poke(sess.outdated)
		}
	}
	return nil, nil
}

func (s *Server) describeSessions() []sessions.Session {
	list := []sessions.Session{}
	for _, sess := range s.sessionList() {
		role, _ := sess.role()
		i := sessions.Session{
			ID: sess.id, User: sess.who.name, Role: role.String(), Via: sess.via, From: sess.from,
			Key: sess.who.key, Since: sess.began, PID: os.Getpid(),
		}
		if line := sess.runs.Load(); line != nil {
			i.Command = *line
		}
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b sessions.Session) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (s *Server) answerEnd(_ context.Context, args []string) ([]byte, error) {
	if len(args) != 2 {
		return nil, errors.New("want a session and who ends it")
	}
	n := 0
	for _, sess := range s.sessionList() {
		if sess.id == args[0] && !sess.over() {
			sess.dismiss(fmt.Errorf("ended by %s", commands.Safe(args[1])))
			n++
		}
	}
	return json.Marshal(n)
}

// dismiss ends a session for an operator, and its connection with its last
// session.
func (s *session) dismiss(why error) {
	s.drop(why)
	if s.conn != nil {
		s.conn.last(why)
	}
	s.end(why)
}

func (s *Server) answerUnblock(_ context.Context, args []string) ([]byte, error) {
	if len(args) != 1 {
		return nil, errors.New("want a source")
	}
	source, err := parseSource(args[0])
	if err != nil {
		return nil, err
	}
	n := 0
	if s.gate.limits.forgive(source) {
		n = 1
	}
	return json.Marshal(n)
}
