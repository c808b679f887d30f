package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// environment puts together the variables of a pool, in the order of their
// names. No error repeats a value: it may be a secret.
func (r *reader) environment(f *File, p *Pool) {
	all := make(map[string]string)
	for i, name := range p.EnvFile {
		path := f.from(name)
		text, err := readFile(path)
		if err != nil {
			line := r.doc.Line(p.has["env_file"])
			if _, list := p.has["env_file"].Value.([]any); list {
				line = r.doc.ElementLine(p.has["env_file"], i)
			}
			r.add(line, "%s: %v", join(p.key, "env_file"), brief(err, path))
			continue
		}
		r.bad = append(r.bad, readEnv(path, text, all)...)
	}
	for _, n := range r.doc.Fields(p.has["env"]) {
		if err := CheckVariable(n.Name); err != nil {
			r.add(r.doc.Line(n), "%s: %v", join(p.key, "env"), err)
		}
	}
	maps.Copy(all, p.Env)
	for _, name := range keysOf(all) {
		p.environ = append(p.environ, name+"="+all[name])
	}
}

// readEnv reads lines of the form NAME=value, as for EnvironmentFile of
// systemd.exec(5): empty lines and those that begin with # or ; are left out,
// "export " before a name is, too. A value in single quotes is taken as it is,
// in double quotes \" \\ \n \t are read. Nothing is expanded.
func readEnv(path, text string, into map[string]string) (bad Problems) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		err := errors.New("want NAME=value")
		if ok {
			err = CheckVariable(name)
		}
		if err == nil {
			into[name], err = unquote(strings.TrimSpace(value))
		}
		if err != nil {
			bad = append(bad, Problem{path, n, err.Error()})
		}
	}
	return bad
}

func unquote(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", errors.New("the value holds a zero byte")
	}
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return s, nil
	}
	if len(s) < 2 || s[len(s)-1] != s[0] {
		return "", errors.New("the quote of the value is not closed on its line")
	}
	inner := s[1 : len(s)-1]
	if s[0] == '"' {
		inner = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\n`, "\n", `\t`, "\t").Replace(inner)
	}
	return inner, nil
}

// CheckVariable refuses names that no program can have, and those by which
// norestart tells a program its part.
func CheckVariable(name string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "= \t\x00"):
		return fmt.Errorf("%.40q cannot be the name of a variable", name)
	case strings.HasPrefix(name, "NORESTART_"), strings.HasPrefix(name, "LISTEN_"), name == "NOTIFY_SOCKET", name == "WATCHDOG_USEC", name == "WATCHDOG_PID":
		return fmt.Errorf("%s is set by norestart", name)
	}
	return nil
}
