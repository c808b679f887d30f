package importer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/shlex"

	"github.com/norestart/norestart/internal/config"
)

// nodeTimeout bounds the reading of an ecosystem file by node.
const nodeTimeout = 20 * time.Second

// readScript reads an ecosystem file that is JavaScript.
func readScript(ctx context.Context, d *draft, path, _ string) error {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	const script = `import(require("url").pathToFileURL(process.argv[1])).then(m => process.stdout.write(JSON.stringify(m.default ?? m)))`
	cmd := exec.CommandContext(ctx, "node", "-e", script, path)
	cmd.Dir, cmd.Stderr = filepath.Dir(path), os.Stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("node is needed to read it, and is not in PATH")
	}
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return readJSON(ctx, d, path, string(out))
}

// app is an application of PM2.
type app map[string]any

// readJSON reads an ecosystem file: {"apps": [...]}, a list, or one application.
func readJSON(_ context.Context, d *draft, _, source string) error {
	var file any
	if err := json.Unmarshal([]byte(source), &file); err != nil {
		return err
	}
	if top, ok := file.(map[string]any); ok && top["apps"] != nil {
		for _, key := range slices.Sorted(maps.Keys(top)) {
			if key != "apps" {
				d.note("%s: no counterpart", key)
			}
		}
		file = top["apps"]
	}
	list, ok := file.([]any)
	if !ok {
		list = []any{file}
	}
	for _, one := range list {
		a, ok := one.(map[string]any)
		if !ok || text(a["script"]) == "" && text(a["cmd"]) == "" {
			return errors.New("want applications with a script")
		}
		app(a).read(d)
	}
	return nil
}

// said are keys that another key takes into account, or that need nothing here.
var said = []string{
	"name", "script", "cmd", "args", "interpreter", "exec_interpreter", "interpreter_args", "node_args", "cwd", "instances", "exec_mode",
	"env", "env_production", "autorestart", "source_map_support", "merge_logs", "combine_logs", "watch", "ignore_watch", "treekill", "vizion", "namespace", "automation", "pmx",
}

func (a app) read(d *draft) {
	script := text(a["script"]) + text(a["cmd"])
	name := text(a["name"])
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(script), filepath.Ext(script))
	}
	p := d.pool(name)
	p.set("command", a.command(d, script))
	for _, key := range []string{"env", "env_production"} {
		vars, _ := a[key].(map[string]any)
		for name, value := range vars {
			p.variable(name, text(value))
		}
	}
	if a["env_production"] != nil {
		p.note("env_production is in env, too, as with --env production.")
	}
	if dir := text(a["cwd"]); dir != "" {
		p.set("dir", dir)
	}
	a.workers(p)
	a.watch(p)
	p.overlap()
	if a["autorestart"] == false {
		p.set("restart", "never")
	}
	for _, key := range slices.Sorted(maps.Keys(a)) {
		if !slices.Contains(said, key) {
			p.pm2(key, a[key])
		}
	}
}

// command is what PM2 would execute.
func (a app) command(d *draft, script string) []string {
	interpreter := text(a["interpreter"]) + text(a["exec_interpreter"])
	_, err := os.Stat(filepath.Join(d.dir, text(a["cwd"]), script))
	ext := filepath.Ext(script)
	if isFile := err == nil || strings.Contains(script, "/"); interpreter == "" && ext == "" && !isFile {
		interpreter = "none" // a program in PATH, such as npm
	}
	if interpreter == "" {
		interpreter = cmp.Or(map[string]string{".py": "python3", ".sh": "bash", ".rb": "ruby", ".php": "php", ".pl": "perl", ".ts": "bun", ".tsx": "bun"}[ext], "node")
	}
	var words []string
	if interpreter != "none" {
		words = append(words, interpreter)
		words = append(words, list(a["interpreter_args"])...)
		words = append(words, list(a["node_args"])...)
		if a["source_map_support"] == true {
			words = append(words, "--enable-source-maps")
		}
	}
	return append(append(words, script), list(a["args"])...)
}

func (a app) workers(p *pool) {
	n, isNumber := a["instances"].(float64)
	most := a["instances"] == "max" || isNumber && n <= 0
	mode := text(a["exec_mode"])
	if strings.HasPrefix(mode, "cluster") || p.env["PORT"] != "" {
		if p.opens(); p.value["share"] == nil {
			return
		}
	}
	switch {
	case most && n < 0:
		p.without("instances", n, `one for each processor but some; "auto" is one for each`)
		fallthrough
	case most:
		p.set("workers", "auto")
	case isNumber && n > 1:
		p.set("workers", int64(n))
	}
}

// watch takes over what is watched, which is from cwd there and from the file here.
func (a app) watch(p *pool) {
	var paths []string
	switch a["watch"] {
	case nil, false:
		return
	case true:
		paths = []string{cmp.Or(text(a["cwd"]), ".")}
	default:
		for _, name := range list(a["watch"]) {
			if !filepath.IsAbs(name) {
				name = filepath.Join(text(a["cwd"]), name)
			}
			paths = append(paths, name)
		}
	}
	if len(paths) == 0 {
		p.without("watch", text(a["watch"]), "want true or a list of paths")
		return
	}
	p.set("watch_files", paths)
	var left []string
	for _, text := range list(a["ignore_watch"]) {
		if strings.Trim(text, "!/") == "" || strings.ContainsAny(text, `\|^$+(){}[]`) { // an expression
			p.without("ignore_watch", text, "watch_exclude has patterns as in .gitignore")
			continue
		}
		left = append(left, text)
	}
	if len(left) > 0 {
		p.set("watch_exclude", left)
	}
}

// pm2 takes over one key.
func (p *pool) pm2(key string, value any) {
	ms, _ := value.(float64)
	switch key {
	case "max_restarts":
		p.set("max_restarts", max(int64(ms), 1))
	case "restart_delay", "exp_backoff_restart_delay":
		p.milliseconds("backoff_min", ms)
	case "kill_timeout":
		p.milliseconds("drain_timeout", ms)
	case "listen_timeout":
		p.milliseconds("ready_timeout", ms)
	case "uid", "user":
		p.set("user", text(value))
	case "gid":
		p.set("group", text(value))
	case "env_file":
		p.set("env_file", text(value))
	case "wait_ready":
		if value == true {
			p.without(key, value, `process.send("ready") is of PM2; if the program sends READY=1 to NOTIFY_SOCKET instead, say ready = "notify"`)
		}
	case "max_memory_restart":
		p.memory(key, text(value))
	case "cron_restart", "cron":
		p.cron(key, text(value))
	case "log_date_format", "error_file", "out_file", "log_file", "error", "output", "out", "log", "time", "pid_file", "pid", "log_type", "disable_logs":
		p.without(key, text(value), "`norestart ctl log` has the output, with times; for a file see log")
	default:
		p.without(key, text(value), "no counterpart")
	}
}

// cron takes a time at which PM2 restarts an application. One that it does not
// restart otherwise is a job.
func (p *pool) cron(key, value string) {
	_, err := config.Clock(value)
	serves := p.value["listen"] != nil || p.value["workers"] != nil || p.value["max_surge"] != nil
	switch {
	case err != nil:
		p.without(key, value, err.Error())
	case p.value["restart"] == "never" && !serves:
		p.set("schedule", value)
		p.note("%s = %v: PM2 runs it at the start, too; `worker revive` does it at any time.", key, value)
	default:
		p.set("reload_at", value)
	}
}

// memory takes the most that a process may have, in bytes or as "512M".
func (p *pool) memory(key, value string) {
	number, shift := value, 0
	if size().MatchString(value) {
		last := len(value) - 1
		number, shift = value[:last], 10*(1+strings.IndexByte("KMGT", value[last]))
	}
	n, err := strconv.ParseInt(number, 10, 50)
	switch {
	case p.value["schedule"] != nil:
		p.without(key, value, "a run of a schedule is not replaced")
	case err != nil || n<<shift < 4<<20 || n > 1<<50>>shift:
		p.without(key, value, "no such size here")
	case shift > 0:
		p.set("max_memory", value)
	default:
		p.set("max_memory", fmt.Sprintf("%dK", n>>10))
	}
}

func (p *pool) milliseconds(key string, ms float64) {
	const year = 365 * 24 * time.Hour
	if ms < 1 || ms > float64(year/time.Millisecond) {
		p.without(key, ms, "no such time here")
		return
	}
	p.set(key, brief(time.Duration(ms)*time.Millisecond))
}

// text is a value of JSON as one writes it.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// list are the words of a text, or of a list.
func list(v any) (words []string) {
	switch v := v.(type) {
	case string:
		words, err := shlex.Split(v)
		if err != nil {
			return strings.Fields(v)
		}
		return words
	case []any:
		for _, one := range v {
			words = append(words, text(one))
		}
	}
	return words
}
