package primary

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
)

// settings are what of a pool's spec its workers learn when they start: until
// then a new value means nothing to them. All else holds at once.
type settings struct {
	Share       string            `cbor:"share,omitempty"`
	Orphan      string            `cbor:"orphan,omitempty"`
	OrphanAfter time.Duration     `cbor:"orphan_after,omitempty"`
	Beat        time.Duration     `cbor:"beat,omitempty"`
	Limits      map[string]uint64 `cbor:"limits,omitempty"`
	RunAs       *control.Identity `cbor:"run_as,omitempty"`
	// NewPrivileges has no meaning for workers that an older primary started:
	// theirs is not on record.
	NewPrivileges bool `cbor:"new_privileges,omitempty"`
}

func settingsOf(s control.PoolSpec) *settings {
	return &settings{Share: s.Share, Orphan: s.Orphan, OrphanAfter: s.OrphanAfter, Beat: s.Beat, Limits: s.Limits, RunAs: s.RunAs, NewPrivileges: s.NewPrivileges}
}

func (s *settings) same(o *settings) bool {
	a, b := *s, *o
	a.Limits, b.Limits = nil, nil
	return reflect.DeepEqual(a, b) && maps.Equal(s.Limits, o.Limits)
}

// file identifies the program that a reload would start; the zero file: there is
// none.
type file struct{ dev, ino uint64 }

func (cfg Config) onDisk() file {
	var st unix.Stat_t
	if unix.Stat(cfg.Binary, &st) != nil {
		return file{} // a reload says why
	}
	return file{st.Dev, st.Ino}
}

// differs is what a reload of the pool would change: a primary that adopted its
// workers leaves them as they are, however it was started itself.
func (p *pool) differs(cfg Config, onDisk file) (what []string) {
	g := p.generation(p.gen)
	if g == nil {
		return nil
	}
	dev, ino := g.binary.Identity()
	if (file{dev, ino}) != onDisk {
		what = append(what, "binary")
	}
	if !slices.Equal(g.argv, cfg.Argv) {
		what = append(what, "arguments")
	}
	if names := changed(g.env, cfg.Env); len(names) > 0 {
		what = append(what, "environment ("+strings.Join(names, ", ")+")")
	}
	if g.dir != cfg.Dir {
		what = append(what, "directory")
	}
	if p.moved() {
		what = append(what, "address")
	}
	if g.made != nil && !g.made.same(settingsOf(p.spec)) {
		what = append(what, "settings")
	}
	return what
}

// namedVariables is how many that have changed are named.
const namedVariables = 3

// changed are the names of the variables that differ, without those of whoever
// started the primary.
func changed(a, b []string) (names []string) {
	if slices.Equal(a, b) { // as nearly always, and each status asks
		return nil
	}
	before, now := variables(a), variables(b)
	for name, value := range now {
		if old, ok := before[name]; !ok || old != value {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, ok := now[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) > namedVariables {
		names = append(names[:namedVariables], "…")
	}
	return names
}

func variables(env []string) map[string]string {
	all := make(map[string]string)
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if !slices.Contains(ofTheStart, name) {
			all[name] = value
		}
	}
	return all
}

// ofTheStart are variables that tell of a terminal, a login or an invocation of
// a service (systemd.exec(5)), and are others in each start.
var ofTheStart = []string{
	"_", "SHLVL", "PWD", "OLDPWD", "TERM", "COLUMNS", "LINES", "WINDOWID",
	"SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_AUTH_SOCK", "XDG_SESSION_ID",
	"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
}
