package importer

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/google/shlex"
)

func readSupervisord(_ context.Context, d *draft, _, text string) error {
	all, err := sections(text)
	if err != nil {
		return err
	}
	for _, s := range all {
		switch kind, name, _ := strings.Cut(s.name, ":"); kind {
		case "program":
			readProgram(d.pool(name), name, s)
		case "fcgi-program", "eventlistener":
			d.note("[%s]: no counterpart", s.name)
			if strings.Contains(s.get("command"), "memmon") {
				d.note("max_memory of a pool does what memmon does.")
			}
		case "group":
			d.note("[%s] programs=%s: no counterpart; `reload` takes several names", s.name, s.get("programs"))
		case "include":
			d.note("[include] files=%s: read each with `norestart init --from`", s.get("files"))
		case "inet_http_server":
			d.note("[inet_http_server]: the admin port takes its place, see [shell]")
		case "supervisord":
			for _, e := range s.keys {
				if e.key == "environment" || e.key == "minfds" || e.key == "user" || e.key == "umask" {
					d.note("[supervisord] %s=%s: set it for each pool", e.key, e.value)
				}
			}
		}
	}
	return nil
}

func readProgram(p *pool, name string, s section) {
	for _, e := range s.keys {
		value, _, _ := strings.Cut(e.value, " ;") // a comment
		p.supervisord(e.key, expand(strings.TrimSpace(value), name))
	}
	p.overlap()
}

// expand fills in what is known before a program runs.
func expand(value, name string) string {
	value = strings.NewReplacer("%(program_name)s", name, "%(group_name)s", name, "%(here)s", ".", "%%", "%").Replace(value)
	return ofPrimary().ReplaceAllString(value, "$${$1}")
}

var ofPrimary = compiled(`%\(ENV_(\w+)\)s`)

// programNot are keys without counterpart, and why; empty: as it is here.
var programNot = map[string]string{
	"process_name": "", "stopasgroup": "", "killasgroup": "", "redirect_stderr": "",
	"priority": "all pools start together, see depends_on",
}

// supervisord takes over one key of a [program:x].
func (p *pool) supervisord(key, value string) {
	switch key {
	case "command":
		p.commandLine(value)
		if strings.Contains(value, "%(process_num)") {
			p.without(key, value, "the number of a process has no counterpart yet")
		}
	case "directory":
		if strings.Contains(value, "${") {
			p.note("directory = %s: filled in when this was written", value)
		}
		p.set("dir", os.ExpandEnv(value))
	case "user":
		p.set(key, value)
	case "umask":
		p.mask(key, value)
	case "autostart":
		if value == "false" {
			p.set("workers", int64(0))
			p.note("autostart = false: `norestart ctl scale` starts it.")
		}
	case "autorestart":
		p.set("restart", map[string]string{"true": "always", "false": "never", "unexpected": "on-failure"}[value])
	case "startsecs":
		p.seconds("min_ready", value)
	case "stopwaitsecs":
		p.seconds("drain_timeout", value)
	case "numprocs":
		p.number("workers", value, 0)
	case "startretries":
		p.number("max_restarts", value, 1)
	case "environment":
		p.variables(value, ",")
	default:
		p.programWithout(key, value)
	}
}

func (p *pool) programWithout(key, value string) {
	why, known := programNot[key]
	switch {
	case known && why == "", key == "exitcodes" && value == "0":
	case known:
		p.without(key, value, why)
	case key == "exitcodes":
		p.without(key, value, "only 0 is no failure")
	case key == "stopsignal":
		p.signal(key, value)
	case strings.HasPrefix(key, "stdout_"), strings.HasPrefix(key, "stderr_"):
		p.without(key, value, "`norestart ctl log` has the output; for a file see log")
	default:
		p.without(key, value, "no counterpart")
	}
}

func (p *pool) mask(key, value string) {
	if _, err := strconv.ParseUint(value, 8, 9); err != nil {
		p.without(key, value, `want octal digits, as "027"`)
		return
	}
	p.set("umask", value)
}

// signal takes over a stop signal.
func (p *pool) signal(key, value string) {
	switch name := strings.TrimPrefix(value, "SIG"); name {
	case "TERM":
	case "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH":
		p.set("stop_signal", name)
	default:
		p.without(key, value, "it gets TERM, no such stop_signal")
	}
}

func (p *pool) number(key, value string, least int64) {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		p.set(key, max(n, least))
	}
}

func (p *pool) seconds(key, value string) {
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		p.set(key, strconv.FormatUint(n, 10)+"s")
	}
}

// variables takes NAME="value" pairs with one of seps between.
func (p *pool) variables(text, seps string) {
	split := shlex.NewLexer(strings.NewReader(spaced(text, seps)))
	for word, err := split.Next(); err == nil; word, err = split.Next() {
		if name, value, ok := strings.Cut(word, "="); ok {
			p.variable(strings.TrimSpace(name), value)
		}
	}
}

// spaced is text with blanks for the separators outside of quotes.
func spaced(text, seps string) string {
	var quote rune
	return strings.Map(func(r rune) rune {
		switch {
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case r == quote:
			quote = 0
		case quote == 0 && strings.ContainsRune(seps, r):
			return ' '
		}
		return r
	}, text)
}
