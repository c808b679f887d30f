package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/users"
)

// check looks for what is wrong beyond the types of values.
func (r *reader) check(f *File) {
	if f.has["name"].Name == "" {
		r.at(&f.table, "name", `missing, want name = "NAME"`)
	} else if err := dirs.CheckName(f.Name); err != nil && f.isText("name") {
		r.at(&f.table, "name", "%v", err)
	}
	if pools, ok := f.has["pool"].Value.(map[string]any); len(pools) == 0 && (ok || f.has["pool"].Name == "") {
		r.at(&f.table, "pool", `missing, want at least one table [pool.NAME] with a command`)
	}
	taken := make(map[string]string)
	if f.Shell != nil {
		r.checkShell(f.Shell, taken)
	}
	if f.Metrics != nil {
		r.checkMetrics(f.Metrics, taken)
	}
	for _, c := range f.Commands {
		c.dir = f.from(".")
		r.checkTyped(f, c)
	}
	for _, h := range f.Hooks {
		h.dir = f.from(".")
		r.checkHook(h)
	}
	for _, p := range f.Pools {
		r.checkPool(f, p, taken)
	}
	r.checkOrder(f.Pools)
}

// checkPool looks at one pool; taken tells which pool listens where.
func (r *reader) checkPool(f *File, p *Pool, taken map[string]string) {
	if slices.Contains([]string{"shell", "agent", "relay"}, p.Name) {
		r.at(&p.table, "", "%s is the name of a pool of norestart itself", p.Name)
	}
	if most := p.MaxWorkers; most > 0 && int(p.Workers) > most {
		r.at(&p.table, "workers", "%d are more than max_workers = %d", p.Workers, most)
	}
	r.checkReady(p)
	r.checkMemory(p)
	r.checkStore(p)
	r.checkClock(p)
	r.checkListen(p, taken)
	r.checkShare(p)
	if p.isText("log") {
		r.checkLog(f, p, taken)
	}
	r.checkWatch(f, p)
	r.checkUser(&p.table, p.User, p.Group)
	r.environment(f, p)
	p.dir = f.from(cmp.Or(p.Dir, "."))
	if info, err := os.Stat(p.dir); err != nil {
		r.at(&p.table, "dir", "%v", brief(err, p.dir))
	} else if !info.IsDir() {
		r.at(&p.table, "dir", "%s is not a directory", p.dir)
	} else {
		r.checkCommands(p)
	}
	r.checkProbes(p)
}

// checkReady looks at how a pool tells that it is ready.
func (r *reader) checkReady(p *Pool) {
	_, err := regexp.Compile(p.ReadyLine)
	switch {
	case p.Ready == "log" && p.ReadyLine == "":
		r.at(&p.table, "ready", `ready = "log" wants the line: ready_line = "REGEXP"`)
	case p.Ready != "log" && p.ReadyLine != "":
		r.at(&p.table, "ready_line", `it goes with ready = "log"`)
	case err != nil:
		r.at(&p.table, "ready_line", "%v", err)
	}
	if p.Ready == "timer" && p.MinReady > 0 && p.MinReady >= p.ReadyTimeout {
		r.at(&p.table, "min_ready", "with ready = \"timer\" it must be shorter than ready_timeout, %v", time.Duration(p.ReadyTimeout))
	}
}

// mostStored is what all slots may keep together.
const mostStored = 512

func (r *reader) checkStore(p *Pool) {
	_, said := p.has["fd_store_max"]
	switch {
	case !said:
	case p.Ready != "notify" && p.FDStoreMax > 0:
		r.at(&p.table, "fd_store_max", `it goes with ready = "notify"`)
	case p.ListenEnv != "" && p.FDStoreMax > 0:
		r.at(&p.table, "fd_store_max", "it does not go with listen_env")
	case p.FDStoreMax > mostStored:
		r.at(&p.table, "fd_store_max", "at most %d", mostStored)
	}
}

// leastMemory is below what any program has that does something.
const leastMemory = 4 << 20

func (r *reader) checkMemory(p *Pool) {
	_, limited := p.has["max_memory"]
	switch _, said := p.has["max_memory_for"]; {
	case limited && (p.MaxMemory < leastMemory || p.MaxMemory > math.MaxInt64):
		r.at(&p.table, "max_memory", `want a size of 4M or more, as "512M"`)
	case said && !limited:
		r.at(&p.table, "max_memory_for", "it goes with max_memory")
	}
}

// brief is an error about a file with the path once.
func brief(err error, path string) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	} else if strings.HasPrefix(err.Error(), path+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// checkCommands looks for the programs where a worker would.
func (r *reader) checkCommands(p *Pool) {
	search := os.Getenv("PATH")
	for _, v := range p.environ {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			search = path
		}
	}
	for key, words := range map[string]Words{"command": p.Command, "update": p.Update, "check": p.Check} {
		if len(words) > 0 {
			r.checkProgram(&p.table, key, words[0], p.dir, search)
		}
	}
	if l := p.Live; l != nil && len(l.Exec) > 0 {
		r.checkProgram(&l.table, "exec", l.Exec[0], p.dir, search)
	}
}

// checkProgram looks for a program as something that runs in dir does, with the
// PATH search.
func (r *reader) checkProgram(t *table, key, name, dir, search string) {
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if _, err := exec.LookPath(path); err != nil {
			r.at(t, key, "%v", brief(errors.Unwrap(err), path))
		}
		return
	}
	for _, in := range filepath.SplitList(search) {
		if !filepath.IsAbs(in) {
			in = filepath.Join(dir, in)
		}
		if _, err := exec.LookPath(filepath.Join(in, name)); err == nil {
			return
		}
	}
	r.at(t, key, "no program %q in PATH, and one of this directory begins with ./", name)
}

func (r *reader) checkListen(p *Pool, taken map[string]string) {
	r.checkSocketOwner(p)
	names := make(map[string]bool)
	for i, text := range p.Listen {
		l, err := inherit.Parse(text)
		addr := inherit.Listen{TCP: l.TCP, Path: l.Path}
		line := r.doc.ElementLine(p.has["listen"], i)
		switch {
		case err != nil:
			r.add(line, "%s: %v%s", p.key, err, addressMeant(text))
			continue
		case l.Name != "" && names[l.Name]:
			r.add(line, "%s: listen: the name %s stands twice", p.key, l.Name)
		case taken[addr.String()] != "":
			r.add(line, "%s: listen: %s listens on %s already", p.key, taken[addr.String()], addr)
		}
		names[l.Name] = true
		if l.Path != "" || l.TCP.Port() != 0 {
			taken[addr.String()] = p.key
		}
	}
}

// addressMeant suggests what lacks its scheme.
func addressMeant(text string) string {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		text = ":" + text
	}
	for _, whole := range []string{"tcp://" + text, "unix://" + text} {
		if _, err := inherit.Parse(whole); err == nil {
			return fmt.Sprintf(", did you mean %q?", whole)
		}
	}
	if host, port, ok := strings.Cut(strings.TrimPrefix(text, "tcp://"), ":"); ok && host == "localhost" {
		return fmt.Sprintf(", did you mean %q?", "tcp://127.0.0.1:"+port)
	}
	return ""
}

// checkSocketOwner looks whether there is a unix socket, and somebody to own it.
func (r *reader) checkSocketOwner(p *Pool) {
	isUnix := func(addr string) bool { return strings.Contains(addr, "unix://") }
	for key, value := range map[string]string{"socket_mode": string(p.SocketMode), "socket_user": p.SocketUser, "socket_group": p.SocketGroup} {
		if value != "" && !slices.ContainsFunc(p.Listen, isUnix) {
			r.at(&p.table, key, `it is for a unix socket: listen = ["unix:///PATH"]`)
		}
	}
	if _, err := user.Lookup(p.SocketUser); p.SocketUser != "" && err != nil {
		if _, err := user.LookupId(p.SocketUser); err != nil {
			r.at(&p.table, "socket_user", "no user %q on this machine", p.SocketUser)
		}
	}
	if _, err := user.LookupGroup(p.SocketGroup); p.SocketGroup != "" && err != nil {
		if _, err := user.LookupGroupId(p.SocketGroup); err != nil {
			r.at(&p.table, "socket_group", "no group %q on this machine", p.SocketGroup)
		}
	}
}

func (r *reader) checkUser(t *table, name, group string) {
	if name == "" && group != "" {
		r.at(t, "group", "name a user, too")
	}
	if _, err := user.Lookup(name); name != "" && err != nil {
		if _, err := user.LookupId(name); err != nil {
			r.at(t, "user", "no user %q on this machine", name)
		}
	}
	if _, err := user.LookupGroup(group); group != "" && err != nil {
		if _, err := user.LookupGroupId(group); err != nil {
			r.at(t, "group", "no group %q on this machine", group)
		}
	}
}

func (r *reader) checkShell(s *Shell, taken map[string]string) {
	r.checkUser(&s.table, s.User, s.Group)
	if err := users.CheckHash(s.PasswordHash); s.PasswordHash != "" && err != nil {
		r.at(&s.table, "password_hash", "%v", err)
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		r.at(&s.table, "tls_cert", "tls_cert and tls_key go together")
	}
	l, err := inherit.Parse("tcp://" + s.Listen)
	if err != nil && !s.isText("listen") { // which was said
		return
	} else if err != nil {
		r.at(&s.table, "listen", `%q: want an IP address and a port, as "127.0.0.1:7777"`, s.Listen)
	} else if s.host, s.port = l.TCP.Addr().String(), int(l.TCP.Port()); s.port == 0 {
		s.port = -1 // any, see shell.Config
	} else {
		taken["tcp://"+l.TCP.String()] = s.key
	}
}

func (r *reader) checkMetrics(m *Metrics, taken map[string]string) {
	m.addr = m.Listen
	if !strings.Contains(m.addr, "://") {
		m.addr = "tcp://" + m.addr
	}
	switch l, err := inherit.Parse(m.addr); {
	case err != nil && !m.isText("listen"): // which was said
	case err != nil:
		r.at(&m.table, "listen", `%q: want an IP address and a port, as "127.0.0.1:9100", or "unix:///PATH"`, m.Listen)
	case taken[l.String()] != "":
		r.at(&m.table, "listen", "%s listens on %s already", taken[l.String()], l)
	case l.Path != "" || l.TCP.Port() != 0:
		taken[l.String()] = m.key
	}
}

// checkOrder looks for pools that wait for each other.
func (r *reader) checkOrder(pools []*Pool) {
	named := make(map[string]*Pool)
	for _, p := range pools {
		named[p.Name] = p
	}
	var visit func(p *Pool, way []string)
	done := make(map[string]bool)
	visit = func(p *Pool, way []string) {
		if i := slices.Index(way, p.Name); i >= 0 {
			r.at(&p.table, "depends_on", "a circle: %s", strings.Join(append(way[i:], p.Name), " waits for "))
			done[p.Name] = true
			return
		}
		for i, name := range p.DependsOn {
			switch next := named[name]; {
			case done[p.Name]:
			case next == nil:
				r.add(r.doc.ElementLine(p.has["depends_on"], i), "%s: no pool %q%s", join(p.key, "depends_on"), name, suggest(name, keysOf(named)))
			default:
				visit(next, append(slices.Clip(way), p.Name))
			}
		}
		done[p.Name] = true
	}
	for _, p := range pools {
		visit(p, nil)
	}
}
