package importer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/shlex"
)

func readService(_ context.Context, d *draft, path, text string) error {
	all, err := sections(text)
	if err != nil {
		return err
	}
	p := d.pool(strings.TrimSuffix(filepath.Base(path), ".service"))
	for _, s := range all {
		for _, e := range s.keys {
			switch s.name {
			case "Service":
				p.service(e.key, e.value)
			case "Unit":
				p.unit(e.key, e.value)
			}
		}
	}
	if len(p.value) == 0 || p.value["command"] == nil {
		return errors.New("it has no ExecStart")
	}
	if group := p.value["group"]; group != nil && p.value["user"] == nil {
		p.unset("group")
		p.without("Group", group, "name a user, too")
	}
	defer p.overlap()
	return p.sockets(strings.TrimSuffix(path, ".service") + ".socket")
}

// unit takes over one key of [Unit].
func (p *pool) unit(key, value string) {
	switch key {
	case "StartLimitBurst":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
			p.set("max_restarts", n)
		}
	case "StartLimitIntervalSec", "StartLimitInterval":
		p.span("within", value)
	case "Description", "Documentation":
	default:
		p.without(key, value, "it belongs into the unit of norestart itself")
	}
}

// Keys of [Service] whose values, and whose times, are taken as they are.
var (
	serviceTexts = map[string]string{"WorkingDirectory": "dir", "User": "user", "Group": "group"}
	serviceTimes = map[string]string{"RestartSec": "backoff_min", "TimeoutStartSec": "ready_timeout", "TimeoutStopSec": "drain_timeout", "RuntimeMaxSec": "max_age"}
	restarts     = map[string]string{
		"no": "never", "always": "always", "on-success": "always",
		"on-failure": "on-failure", "on-abnormal": "on-failure", "on-abort": "on-failure", "on-watchdog": "on-failure",
	}
)

// serviceNot are keys without counterpart, and why; empty: as it is here.
var serviceNot = map[string]string{
	"ExecReload":    "`norestart ctl reload` starts successors",
	"ExecStartPost": hooks, "ExecStop": hooks, "ExecStopPost": hooks,
	"NotifyAccess": "", "NoNewPrivileges": "", "SyslogIdentifier": "",
}

const hooks = "what runs after the start and at the end of a worker has no counterpart"

// service takes over one key of [Service].
func (p *pool) service(key, value string) {
	switch key {
	case "ExecStart":
		p.execStart(value)
	case "ExecStartPre":
		p.execStartPre(value)
	case "Type":
		p.kind(value)
	case "Environment":
		p.variables(value, "")
	case "EnvironmentFile":
		p.file(value)
	case "Restart":
		p.set("restart", restarts[value])
	case "LimitNOFILE", "LimitNPROC", "LimitAS", "LimitCORE", "LimitFSIZE":
		p.resource(strings.ToLower(strings.TrimPrefix(key, "Limit")), value)
	case "TimeoutSec":
		p.span("ready_timeout", value)
		p.span("drain_timeout", value)
	case "KillMode":
		if value == "process" {
			p.set("kill_group", "group")
		}
	case "KillSignal":
		p.signal(key, value)
	case "MemoryMax", "MemoryHigh":
		p.memory(key, value)
	case "UMask":
		p.mask(key, value)
	case "Nice":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= -20 && n <= 19 {
			p.set("nice", n)
		}
	default:
		p.plainly(key, value)
	}
}

// plainly takes over a key that the tables know.
func (p *pool) plainly(key, value string) {
	why, known := serviceNot[key]
	switch {
	case serviceTexts[key] != "":
		p.set(serviceTexts[key], strings.TrimPrefix(value, "-"))
	case serviceTimes[key] != "":
		p.span(serviceTimes[key], value)
	case !known:
		p.without(key, value, "it belongs into the unit of norestart itself")
	case why != "":
		p.without(key, value, why)
	}
}

// file adds a file of variables. In a unit a missing one may be no error.
func (p *pool) file(value string) {
	name := strings.TrimPrefix(value, "-")
	if name != value {
		p.without("EnvironmentFile", value, "may be missing there, must be there here")
	}
	if files, _ := p.value["env_file"].([]string); name != "" {
		p.set("env_file", append(files, name))
	}
}

// execStartPre takes a command that can fail over as check, which runs before a
// reload and not before each start.
func (p *pool) execStartPre(value string) {
	words, err := shlex.Split(value)
	switch {
	case err != nil || len(words) == 0 || strings.ContainsAny(value[:1], "-@:+!|") || strings.Contains(value, "%"):
		p.without("ExecStartPre", value, "check, which runs before a reload, does not know its prefix or %-specifiers")
	case p.value["check"] != nil:
		p.without("ExecStartPre", value, "a pool has one check")
	default:
		p.without("ExecStartPre", value, "it is run by a reload, as check, and not before each start")
		p.set("check", words)
	}
}

// execStart takes a command line of systemd.service(5).
func (p *pool) execStart(value string) {
	if p.value["command"] != nil {
		p.without("ExecStart", value, "a pool runs one program")
		return
	}
	bare := strings.TrimLeft(value, "-@:+!|")
	if bare != value {
		p.without("ExecStart", value, "the prefix has no counterpart")
	}
	if strings.Contains(bare, "%") {
		p.without("ExecStart", value, "%-specifiers are not expanded")
	}
	p.commandLine(bare)
}

func (p *pool) kind(value string) {
	switch value {
	case "notify", "notify-reload":
		p.set("ready", "notify")
	case "forking":
		p.without("Type", value, "the program must stay in the foreground")
	case "oneshot":
		p.set("restart", "never")
	}
}

var units = strings.NewReplacer("minutes", "m", "minute", "m", "min", "m", "seconds", "s", "second", "s", "sec", "s", "hours", "h", "hour", "h", "hr", "h", " ", "")

// span takes a time of systemd.time(7).
func (p *pool) span(key, value string) {
	text := units.Replace(strings.ReplaceAll(value, "msec", "ms"))
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		p.without(key, value, "no such time here")
		return
	}
	p.set(key, brief(d))
}

// resource takes a limit, of which SOFT:HARD gives the hard one.
func (p *pool) resource(name, value string) {
	if _, hard, ok := strings.Cut(value, ":"); ok {
		value = hard
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case value == "infinity":
		p.limit(name, "unlimited")
	case err == nil && n >= 0:
		p.limit(name, n)
	case size().MatchString(value):
		p.limit(name, value)
	default:
		p.without(name, value, "no such limit here")
	}
}

var size = compiled(`^[0-9]{1,7}[KMGT]$`)

var tcp = compiled(`^(?:(\[[0-9a-fA-F:]+\]|[0-9.]+):)?([0-9]+)$`)

// sockets takes the addresses of the .socket unit beside, if there is one.
func (p *pool) sockets(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := sections(string(text))
	if err != nil {
		return err
	}
	var listen []string
	for _, s := range all {
		for _, e := range s.keys {
			switch {
			case s.name != "Socket" || e.key == "Accept" && e.value == "no":
			case e.key == "ListenStream" && strings.HasPrefix(e.value, "/"):
				listen = append(listen, "unix://"+e.value)
			case e.key == "ListenStream" && tcp().MatchString(e.value):
				m := tcp().FindStringSubmatch(e.value)
				listen = append(listen, "tcp://"+m[1]+":"+m[2])
			default:
				p.without(e.key, e.value, "no counterpart")
			}
		}
	}
	if listen != nil {
		p.set("listen", listen)
	}
	return nil
}
