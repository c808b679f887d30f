package config

import (
	"cmp"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/builtin"
	"github.com/norestart/norestart/internal/ignore"
)

// eventNames are the names that patterns of hooks are for.
func eventNames() []string {
	var names []string
	for _, k := range control.EventKinds() {
		names = append(names, string(k))
	}
	for _, kind := range control.JobKinds() {
		for _, state := range control.JobStates() {
			names = append(names, control.Job{Kind: kind, State: state}.End())
		}
	}
	return names
}

func (r *reader) checkHook(h *Hook) {
	for i, pattern := range h.Events {
		fits := slices.ContainsFunc(eventNames(), func(name string) bool {
			ok, err := path.Match(pattern, name)
			return ok && err == nil
		})
		if !fits {
			r.add(r.doc.ElementLine(h.has["events"], i), "%s: no event %q%s", join(h.key, "events"), pattern, suggest(pattern, eventNames()))
		}
	}
	run, post := h.has["run"].Name != "", h.has["url"].Name != ""
	if run == post {
		r.at(&h.table, "", `want either run = ["PROGRAM"] or url = "http://…"`)
	}
	if u, err := url.Parse(h.URL); post && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") && h.isText("url") {
		r.at(&h.table, "url", "want an address that begins with http:// or https://")
	}
	if len(h.Run) > 0 {
		r.checkProgram(&h.table, "run", h.Run[0], h.dir, os.Getenv("PATH"))
	}
}

// checkTyped looks at a command that is typed.
func (r *reader) checkTyped(f *File, c *Command) {
	if f.Shell == nil {
		r.at(&c.table, "", "commands are typed at the admin port, and there is no table [shell]")
	}
	if slices.Contains(builtin.Reserved(), c.Name) {
		r.at(&c.table, "", "%s is a command that every cluster has: choose another name", c.Name)
	}
	if len(c.Run) > 0 {
		c.Summary = cmp.Or(c.Summary, "run "+c.Run[0])
		r.checkProgram(&c.table, "run", c.Run[0], c.dir, os.Getenv("PATH"))
	}
}

// logScheme begins the name of a log file.
const logScheme = "file:"

// checkWatch looks at what a pool watches.
func (r *reader) checkWatch(f *File, p *Pool) {
	for i, name := range p.WatchFiles {
		if _, err := os.Stat(f.from(name)); err != nil {
			r.add(r.doc.ElementLine(p.has["watch_files"], i), "%s.watch_files: %v", p.key, brief(err, f.from(name)))
		}
	}
	for i, text := range p.WatchExclude {
		if _, err := ignore.Parse(text); err != nil {
			r.add(r.doc.ElementLine(p.has["watch_exclude"], i), "%s.watch_exclude: %q is no pattern of gitignore(5)", p.key, text)
		}
	}
	if _, list := p.has["watch"].Value.([]any); list {
		r.at(&p.table, "watch", "of files it is called watch_files")
	}
	if len(p.WatchExclude) > 0 && len(p.WatchFiles) == 0 {
		r.at(&p.table, "watch_exclude", "it goes with watch_files")
	}
}

// checkLog looks at the log file of a pool; taken tells which pool has which.
func (r *reader) checkLog(f *File, p *Pool, taken map[string]string) {
	path := f.LogPath(p)
	info, err := os.Stat(filepath.Dir(path))
	switch {
	case !strings.HasPrefix(p.Log, logScheme) || p.Log == logScheme:
		r.at(&p.table, "log", `%q: want a file, as "file:/var/log/web.log"`, p.Log)
		return
	case err != nil:
		r.at(&p.table, "log", "%v", brief(err, filepath.Dir(path)))
	case !info.IsDir():
		r.at(&p.table, "log", "%s is not a directory", filepath.Dir(path))
	case p.LogSize < 1<<10:
		r.at(&p.table, "log_size", "%d: want 1K or more", p.LogSize)
	case taken[logScheme+path] != "":
		r.at(&p.table, "log", "%s writes into %s already", taken[logScheme+path], path)
	}
	taken[logScheme+path] = p.key
}
