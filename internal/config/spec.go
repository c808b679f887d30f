package config

import (
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/shell"
)

// Spec is what the file says of its pools. Their users are not looked up, see
// [Pool.User], the environment is what comes to that of the primary, and the
// pool of the admin port is not among them, see [File.ShellConfig].
func (f *File) Spec() control.Spec {
	s := control.Spec{Name: f.Name}
	for _, p := range f.Pools {
		s.Pools = append(s.Pools, p.Spec())
	}
	return s
}

// Spec is the pool as data. Its user is not looked up.
func (p *Pool) Spec() control.PoolSpec {
	s := control.PoolSpec{
		Name: p.Name,
		Program: &control.Program{
			Command: p.Command, Env: p.environ, Dir: p.dir,
			Update: errand(p.Update, p.UpdateTimeout),
			Check:  errand(p.Check, p.CheckTimeout),
		},
		Protocol: control.ProtocolMute,
		Workers:  int(p.Workers), MaxWorkers: p.MaxWorkers,
		DependsOn: p.DependsOn, Listen: p.Listen, Share: p.Share, NewPrivileges: p.NewPrivileges,

		Policy: control.Policy(p.Restart), MaxRestarts: p.MaxRestarts, Within: time.Duration(p.Within),
		BackoffMin: time.Duration(p.BackoffMin), BackoffMax: time.Duration(p.BackoffMax), BackoffReset: time.Duration(p.BackoffReset),

		ReadyTimeout: time.Duration(p.ReadyTimeout), MinReady: time.Duration(p.MinReady),
		Canary: time.Duration(p.Canary), Watch: time.Duration(p.Watch),
		MaxSurge: p.MaxSurge, MaxUnavailable: p.MaxUnavailable,
		MaxAge: time.Duration(p.MaxAge), MaxMemory: int64(p.MaxMemory), MaxMemoryFor: time.Duration(p.MaxMemoryFor),
		LameDuck: time.Duration(p.LameDuck), StopSignal: p.StopSignal, Orphan: p.Orphan, Nice: int(p.Nice), Umask: p.Umask.mask(),
		SocketMode: p.SocketMode.mask(), SocketUser: p.SocketUser, SocketGroup: p.SocketGroup,
		ListenEnv: p.ListenEnv, Nonblock: p.Nonblock || p.ListenEnv == control.ListenNginx, TTY: p.TTY,
		DrainTimeout: time.Duration(p.DrainTimeout), KillAfter: time.Duration(p.StopTimeout), KillGroup: p.KillGroup,
	}
	s.Schedule, s.ReloadAt = p.zoned(p.Schedule), p.zoned(p.ReloadAt)
	if s.Schedule != "" {
		s.Policy, s.MaxWorkers, s.MaxSurge = control.Never, 1, control.NoSurge
	}
	switch p.Ready {
	case "notify":
		s.Protocol = control.ProtocolNotify
		if p.ListenEnv == "" {
			s.FDStoreMax = p.FDStoreMax
		}
	case "log":
		s.ReadyLine = p.ReadyLine
	case "timer":
		s.ReadyAfter, s.MinReady = s.MinReady, 0
	case "listen":
		s.Protocol = control.ProtocolListen
	case "http", "tcp":
		s.Protocol, s.ReadyProbe = control.ProtocolProbe, p.readyProbe()
		if p.ReadyTCP == control.TCPPort {
			s.Protocol, s.ReadyProbe = control.ProtocolListen, nil // without the agent
		}
	}
	if l := p.Live; l != nil {
		s.Live = &control.Probe{
			HTTP: l.HTTP, Host: l.Host, TCP: l.TCP, Exec: l.Exec, Every: time.Duration(l.Every), Timeout: time.Duration(l.Timeout),
			Fail: l.Fail, StartPeriod: time.Duration(l.StartPeriod),
		}
	}
	for name, limit := range p.Rlimits {
		if s.Limits == nil {
			s.Limits = make(map[string]uint64)
		}
		s.Limits[name] = uint64(limit)
	}
	return s
}

func (p *Pool) readyProbe() *control.Probe {
	return &control.Probe{HTTP: p.ReadyHTTP, Host: p.ReadyHost, TCP: p.ReadyTCP, Every: time.Duration(p.ReadyEvery), Timeout: time.Duration(p.ReadyAnswer)}
}

// errand is nothing without a command.
func errand(command Words, timeout Duration) (e control.Errand) {
	if len(command) > 0 {
		e.Command, e.Timeout = command, time.Duration(timeout)
	}
	return e
}

// ShellConfig is what the file says of the admin port; nil: there is none.
func (f *File) ShellConfig() *shell.Config {
	s := f.Shell
	if s == nil {
		return nil
	}
	return &shell.Config{
		Host: s.host, Port: s.port, User: s.User, Group: s.Group,
		PasswordHash: s.PasswordHash, TLSUser: s.TLSUser,
		TLSCert: f.from(s.TLSCert), TLSKey: f.from(s.TLSKey), TLSNames: s.TLSNames,
		HelloTimeout: time.Duration(s.HelloTimeout), LoginTimeout: time.Duration(s.LoginTimeout),
		NoChannelTimeout: time.Duration(s.NoChannelTimeout), IdleTimeout: time.Duration(s.IdleTimeout),
		StallTimeout: time.Duration(s.StallTimeout), KeepaliveInterval: time.Duration(s.KeepaliveInterval),
		MaxConnections: s.MaxConnections, MaxPerSource: s.MaxPerSource, MaxPerUser: s.MaxPerUser, MaxSessions: s.MaxSessions,
	}
}

// MetricsAddr is where metrics are served, as the address of a pool; empty:
// nowhere.
func (f *File) MetricsAddr() string {
	if f.Metrics == nil {
		return ""
	}
	return f.Metrics.addr
}

// WorkDir is the directory in which the program of a hook runs.
func (h *Hook) WorkDir() string { return h.dir }

// WorkDir is the directory in which the program of a command runs.
func (c *Command) WorkDir() string { return c.dir }

// LeastRole is the least role that may type the command.
func (c *Command) LeastRole() commands.Role {
	for _, r := range []commands.Role{commands.Viewer, commands.Operator} {
		if r.String() == c.Role {
			return r
		}
	}
	return commands.Admin
}

// Watched are the files and directories that a pool watches.
func (f *File) Watched(p *Pool) (paths []string) {
	for _, name := range p.WatchFiles {
		paths = append(paths, f.from(name))
	}
	return paths
}

// LogPath is the file for what the workers of a pool write; empty: there is none.
func (f *File) LogPath(p *Pool) string { return f.from(strings.TrimPrefix(p.Log, logScheme)) }
