package importer

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"

	"github.com/norestart/norestart/internal/config"
)

// draft is a configuration that is being written.
type draft struct {
	name, from string
	dir        string // of the file that is read
	notes      []string
	pools      []*pool
}

// pool is a [pool.NAME] table.
type pool struct {
	name  string
	keys  []string // in the order in which they were set
	value map[string]any
	env   map[string]string
	notes []string
}

// pool adds a pool, with a name that norestart takes.
func (d *draft) pool(name string) *pool {
	p := &pool{name: name, value: make(map[string]any), env: make(map[string]string)}
	p.name = d.free(config.NameOf(name))
	if p.name != name {
		p.note("Its name was %s.", name)
	}
	d.pools = append(d.pools, p)
	return p
}

func (d *draft) free(name string) string {
	for i := 1; ; i++ {
		one := name
		if i > 1 {
			one = fmt.Sprintf("%.28s-%d", name, i)
		}
		taken := func(p *pool) bool { return p.name == one }
		if one != "shell" && one != "agent" && !slices.ContainsFunc(d.pools, taken) {
			return one
		}
	}
}

func (d *draft) note(format string, args ...any) { d.notes = append(d.notes, oneLine(format, args...)) }

func (p *pool) note(format string, args ...any) { p.notes = append(p.notes, oneLine(format, args...)) }

// without notes a key that has no counterpart.
func (p *pool) without(key string, value any, why string) {
	p.note("%s = %v: %s", key, value, why)
}

func oneLine(format string, args ...any) string {
	other := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	return strings.Join(strings.FieldsFunc(fmt.Sprintf(format, args...), other), " ")
}

// set sets a key to a text, a number, a truth or a list of texts. What no key
// can be is a note instead.
func (p *pool) set(key string, value any) {
	if why := refuse(value); why != "" {
		p.without(key, value, why)
		return
	}
	if _, ok := p.value[key]; !ok {
		p.keys = append(p.keys, key)
	}
	p.value[key] = value
}

func (p *pool) unset(key string) {
	delete(p.value, key)
	p.keys = slices.DeleteFunc(p.keys, func(k string) bool { return k == key })
}

func refuse(value any) string {
	switch v := value.(type) {
	case string:
		if v == "" || strings.ContainsRune(v, 0) {
			return "no such value here"
		}
	case int64:
		if v < -20 || v > math.MaxInt32 {
			return "no such number here"
		}
	case []string:
		if strings.ContainsRune(strings.Join(v, ""), 0) {
			return "it holds a zero byte"
		}
	}
	return ""
}

// variable sets one of the environment, if norestart takes it.
func (p *pool) variable(name, value string) {
	if err := config.CheckVariable(name); err != nil {
		p.note("env: %v", err)
		return
	}
	if why := refuse([]string{value}); why != "" {
		p.note("env: %s: %s", name, why)
		return
	}
	p.env[name] = value
}

func (p *pool) limit(name string, value any) {
	limits, ok := p.value["rlimits"].(map[string]any)
	if !ok {
		limits = make(map[string]any)
	}
	limits[name] = value
	p.set("rlimits", limits)
}

// opens is for a program that binds its port itself.
func (p *pool) opens() {
	if p.seized() {
		p.note(`Each process opens a port of its own (PORT, and {port}), and gets connections to listen when it listens on it (share = "seize"). If it does not take its port from there, it has one worker, no share, no listen, and max_surge = 0.`)
		return
	}
	if p.value["workers"] == nil {
		p.set("workers", int64(1))
	}
	p.set("max_surge", int64(0))
	p.note("It binds its port itself: only one process can, each has gone before its successor is started, and connections are refused meanwhile.")
	p.note(`If it takes its socket from systemd (LISTEN_FDS), say instead: listen = [%q], workers = "auto", and no max_surge.`, "tcp://:PORT")
}

// seized gives the processes ports of their own in place of the one that PORT or the
// command names; false: neither does.
func (p *pool) seized() bool {
	words, _ := p.value["command"].([]string)
	line := strings.Join(words, " ")
	start, end, _ := config.OpensPort(words)
	port := p.env["PORT"]
	if start >= 0 && (port == "" || port == line[start:end]) {
		port = line[start:end]
		words = replaced(words, start, end)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || p.value["new_privileges"] != nil {
		return false
	}
	address := "tcp://:" + port
	if regexp.MustCompile(`(127\.0\.0\.1|localhost)(:` + port + `|\s|$)`).MatchString(line) {
		address = "tcp://127.0.0.1:" + port
	}
	delete(p.env, "PORT")
	p.set("command", words)
	p.set("listen", []string{address})
	p.set("share", "seize")
	return true
}

// replaced has {port} in place of what stands between start and end of the words,
// joined by spaces.
func replaced(words []string, start, end int) []string {
	words = slices.Clone(words)
	for i, w := range words {
		if end <= len(w) {
			words[i] = w[:start] + "{port}" + w[end:]
			return words
		}
		start, end = start-len(w)-1, end-len(w)-1
	}
	return words
}

// overlap looks whether two processes of a pool can run at a time.
func (p *pool) overlap() {
	if n, _ := p.value["workers"].(int64); n > 1 || p.value["listen"] != nil || p.value["max_surge"] != nil {
		return
	}
	words, _ := p.value["command"].([]string)
	if _, _, opens := config.OpensPort(words); opens || p.env["PORT"] != "" {
		p.opens()
	}
}

// brief is a duration without its zeros.
func brief(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// String is the text of the file.
func (d *draft) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made of %s. `norestart check` says what is wrong with it.\n", d.from)
	comment(&b, d.notes)
	fmt.Fprintf(&b, "%s\n", line("name", d.name))
	for _, p := range d.pools {
		fmt.Fprintf(&b, "[pool.%s]\n", p.name)
		comment(&b, p.notes)
		for _, key := range p.keys {
			if table, ok := p.value[key].(map[string]any); ok {
				b.WriteString(inline(key, table))
				continue
			}
			b.WriteString(line(key, p.value[key]))
		}
		if len(p.env) > 0 {
			fmt.Fprintf(&b, "[pool.%s.env]\n", p.name)
			for _, name := range slices.Sorted(maps.Keys(p.env)) {
				b.WriteString(line(name, p.env[name]))
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString("# The admin port: ssh -p 7777 admin@127.0.0.1\n[shell]\nlisten = \"127.0.0.1:7777\"\n")
	return b.String()
}

func comment(b *strings.Builder, notes []string) {
	for _, n := range notes {
		fmt.Fprintf(b, "# %s\n", n)
	}
}

// line is a key and its value with the newline.
func line(key string, value any) string {
	text, err := toml.Marshal(map[string]any{key: value})
	if err != nil {
		return "# " + oneLine("%s: %v", key, err) + "\n"
	}
	return string(text)
}

func inline(key string, table map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(table)) {
		parts = append(parts, strings.TrimSpace(line(name, table[name])))
	}
	return key + " = { " + strings.Join(parts, ", ") + " }\n"
}
