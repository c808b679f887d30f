package primary

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
)

// settings are the part of a pool's spec that workers learn when they start;
// running workers do not get a new value. All else takes effect at once.
type settings struct {
	Share       string            `cbor:"share,omitempty"`
	Orphan      string            `cbor:"orphan,omitempty"`
	OrphanAfter time.Duration     `cbor:"orphan_after,omitempty"`
	Beat        time.Duration     `cbor:"beat,omitempty"`
	Limits      map[string]uint64 `cbor:"limits,omitempty"`
	RunAs       *control.Identity `cbor:"run_as,omitempty"`
	// NewPrivileges is unknown for workers of older primaries, which did not
	// record it.
	NewPrivileges bool   `cbor:"new_privileges,omitempty"`
	Umask         *int   `cbor:"umask,omitempty"`
	Nice          int    `cbor:"nice,omitempty"`
	ListenEnv     string `cbor:"listen_env,omitempty"`
	Nonblock      bool   `cbor:"nonblock,omitempty"`
	TTY           bool   `cbor:"tty,omitempty"`
	// Protocol, with the other ways to tell that a worker is ready, is empty if an
	// older primary made the generation.
	Protocol   control.Protocol `cbor:"protocol,omitempty"`
	ReadyLine  string           `cbor:"ready_line,omitempty"`
	ReadyAfter time.Duration    `cbor:"ready_after,omitempty"`
	// Told is what workers of built-in pools are told, see Config.Settings; nil: it
	// is not known, or nothing.
	Told []byte `cbor:"told,omitempty"`
}

func settingsOf(s control.PoolSpec, told []byte) *settings {
	return &settings{
		Share: s.Share, Orphan: s.Orphan, OrphanAfter: s.OrphanAfter, Beat: s.Beat, Limits: s.Limits, RunAs: s.RunAs, NewPrivileges: s.NewPrivileges,
		Umask: s.Umask, Nice: s.Nice, Protocol: s.Protocol, ReadyLine: s.ReadyLine, ReadyAfter: s.ReadyAfter, ListenEnv: s.ListenEnv, Nonblock: s.Nonblock, TTY: s.TTY, Told: told,
	}
}

// withContent is a pool's spec with all of now that belongs to a generation, and how
// its workers are asked whether they work.
func withContent(spec, now control.PoolSpec) control.PoolSpec {
	spec.Program, spec.Listen = now.Program, now.Listen
	spec.Limits, spec.RunAs, spec.NewPrivileges = now.Limits, now.RunAs, now.NewPrivileges
	spec.Umask, spec.Nice, spec.ListenEnv, spec.Nonblock, spec.TTY = now.Umask, now.Nice, now.ListenEnv, now.Nonblock, now.TTY
	spec.Protocol, spec.ReadyLine, spec.ReadyAfter, spec.ReadyProbe = now.Protocol, now.ReadyLine, now.ReadyAfter, now.ReadyProbe
	spec.Live = now.Live
	return spec
}

// version is what a generation that is made now would be.
type version struct {
	program
	dev, ino uint64 // 0: a reload says why there is none
	written  time.Time
	listen   []string
	made     *settings
}

// configuration is what a reload would read now; an error if it cannot.
func (p *Primary) configuration(ctx context.Context) (*Configuration, error) {
	now, err := p.file.now(ctx)
	if now == nil && err == nil {
		now = &Configuration{p.cfg.Spec, p.cfg.Settings}
	}
	return now, err
}

// versions are those of all pools; none, if the configuration cannot be read.
func (cfg Config) versions(now *Configuration) map[string]version {
	all := make(map[string]version)
	if now == nil {
		return all
	}
	for _, spec := range now.Spec.Pools {
		path, program, err := cfg.program(spec)
		v := version{program: program, listen: spec.Listen, made: settingsOf(spec.WithDefaults(), now.Settings[spec.Name])}
		var st unix.Stat_t
		if err == nil && unix.Stat(path, &st) == nil {
			v.dev, v.ino, v.written = st.Dev, st.Ino, time.Unix(st.Mtim.Unix())
		}
		all[spec.Name] = v
	}
	return all
}

// differs is what a reload of the pool would change: a primary that adopted its
// workers leaves them as they are, however it was started itself.
func (p *pool) differs(now version) (what []string) {
	g := p.generation(p.gen)
	if g == nil || now.made == nil {
		return nil
	}
	what = g.differs(now)
	if len(g.listen) > 0 && !slices.Equal(g.listen, now.listen) {
		what = append(what, "address")
	}
	if g.made.differs(now.made) {
		what = append(what, "settings")
	}
	return what
}

// differs is what another start of the program would change in a generation.
func (g *generation) differs(now version) (what []string) {
	dev, ino := g.binary.Identity()
	if dev != now.dev || ino != now.ino {
		what = append(what, "binary")
	}
	if !slices.Equal(g.argv, now.argv) {
		what = append(what, "arguments")
	}
	if names := changed(g.env, now.env); len(names) > 0 {
		if len(names) > namedVariables {
			names = append(names[:namedVariables], "…")
		}
		what = append(what, "environment ("+strings.Join(names, ", ")+")")
	}
	if g.dir != now.dir {
		what = append(what, "directory")
	}
	return what
}

// namedVariables bounds the changed variables that are named.
const namedVariables = 3

// changed are the names of the variables that differ, without those of the person
// or service that started the primary.
func changed(a, b []string) (names []string) {
	if slices.Equal(a, b) { // nearly always, and each status asks
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

// Lasting is env without the variables that differ in each start.
func Lasting(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(ofTheStart, name)
	})
}

// ofTheStart are variables of a terminal, a login or an invocation of a service
// (systemd.exec(5)), which differ in each start.
var ofTheStart = []string{
	"_", "SHLVL", "PWD", "OLDPWD", "TERM", "COLUMNS", "LINES", "WINDOWID",
	"SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_AUTH_SOCK", "XDG_SESSION_ID",
	"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
}
