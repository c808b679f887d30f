package adminport

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/norestart/norestart/internal/sessions"
)

// maxBlockedShown bounds an answer: a flood has more sources than anybody reads.
const maxBlockedShown = 1000

// parseSource reads a source as [sourceName] writes it, or any address in it.
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

func (l *limits) blocked() []sessions.Blocked {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, now := []sessions.Blocked{}, time.Now()
	for key, src := range l.sources {
		if src.enforced && now.Before(src.penalty) {
			list = append(list, sessions.Blocked{Source: sourceName(key), Until: src.penalty, Failed: src.failed, Users: src.tried})
		}
	}
	slices.SortFunc(list, func(a, b sessions.Blocked) int { return b.Until.Compare(a.Until) })
	return list[:min(len(list), maxBlockedShown)]
}

// forgive lets a source connect again and reports whether it was blocked.
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
