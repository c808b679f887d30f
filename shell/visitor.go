package shell

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/norestart/norestart/commands"
)

// maxBlockedShown bounds an answer; a flood comes from more sources than
// somebody reads.
const maxBlockedShown = 1000

// Handler answers a question of the cluster (worker.Handler).
type Handler func(ctx context.Context, args []string) ([]byte, error)

// Handlers are what this process answers to the commands session list, end,
// blocked and unblock, which ask every process of the admin port. The caller
// registers them with its worker; the right to ask is the grant of the pool
// that asks, and the role that those commands name.
func (s *Server) Handlers() map[string]Handler {
	return map[string]Handler{
		commands.HandlerSessions: func(context.Context, []string) ([]byte, error) { return json.Marshal(s.visitors()) },
		commands.HandlerBlocked:  func(context.Context, []string) ([]byte, error) { return json.Marshal(s.limits.blocked()) },
		commands.HandlerEnd:      s.answerEnd,
		commands.HandlerUnblock:  s.answerUnblock,
	}
}

func (s *Server) visitors() []commands.SessionInfo {
	list := []commands.SessionInfo{}
	for _, sess := range s.sessionList() {
		role, _ := sess.role()
		i := commands.SessionInfo{
			ID: sess.id, User: sess.who.name, Role: role.String(), Via: sess.via, From: sess.from,
			Key: sess.who.key, Since: sess.began, PID: os.Getpid(),
		}
		if line := sess.runs.Load(); line != nil {
			i.Command = *line
		}
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b commands.SessionInfo) int { return cmp.Compare(a.ID, b.ID) })
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

// dismiss ends a session by an operator's wish, and its connection with the
// last session on it.
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
	if s.limits.forgive(source) {
		n = 1
	}
	return json.Marshal(n)
}

// Block takes over what another process of the admin port held against
// sources, as [Server.Handlers] tells it, so that a new process is no fresh
// start for whoever guesses passwords.
func (s *Server) Block(list []commands.BlockedInfo) {
	for _, b := range list {
		if source, err := parseSource(b.Source); err == nil {
			s.limits.block(source, b)
		}
	}
}

// parseSource reads a source as [sourceName] writes it, or any address of it.
func parseSource(text string) (netip.Prefix, error) {
	addr, err := netip.ParseAddr(text)
	if p, perr := netip.ParsePrefix(text); err != nil && perr == nil {
		addr, err = p.Addr(), nil
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("source: %w", err)
	}
	return prefixOf(addr), nil
}

func sourceName(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// blocked are the sources whose connections are refused, the longest first.
func (l *limits) blocked() []commands.BlockedInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, now := []commands.BlockedInfo{}, time.Now()
	for key, src := range l.sources {
		if src.enforced && now.Before(src.penalty) {
			list = append(list, commands.BlockedInfo{Source: sourceName(key), Until: src.penalty, Failed: src.failed, Users: src.tried})
		}
	}
	slices.SortFunc(list, func(a, b commands.BlockedInfo) int { return b.Until.Compare(a.Until) })
	return list[:min(len(list), maxBlockedShown)]
}

// forgive lets a source connect again and reports whether it could not.
func (l *limits) forgive(key netip.Prefix) bool {
	was := l.forget(key)
	l.keep(held{source: key}, true) // even if only another process knows of it
	return was
}

func (l *limits) forget(key netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	src := l.sources[key]
	if src == nil {
		return false
	}
	was := src.enforced && time.Now().Before(src.penalty)
	src.penalty, src.enforced, src.failed, src.tried = time.Time{}, false, 0, nil
	return was
}

// block holds against a source what another process did.
func (l *limits) block(key netip.Prefix, b commands.BlockedInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() // from here on a clock that is set ends nothing sooner or later
	until := now.Add(min(b.Until.Sub(now), penaltyMax))
	src := l.source(key)
	if until.After(src.penalty) {
		src.penalty, src.enforced, src.failed, src.tried = until, true, b.Failed, b.Users[:min(len(b.Users), maxTried)]
	}
}
