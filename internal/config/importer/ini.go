package importer

import (
	"fmt"
	"strings"
)

// section is a part of a file with [NAME] headers.
type section struct {
	name string
	keys []entry
}

type entry struct{ key, value string }

func (s section) get(key string) (value string) {
	for _, e := range s.keys {
		if e.key == key {
			value = e.value
		}
	}
	return value
}

// sections reads such a file. Comments begin with # or ; at the beginning of a
// line. A value goes on in the next line after a backslash, as in
// systemd.syntax(7), and in lines that are indented, as in supervisord.conf.
func sections(text string) ([]section, error) {
	var all []section
	n, more := 0, false
	for line := range strings.Lines(text) {
		n++
		indented := line[0] == ' ' || line[0] == '\t'
		line = strings.TrimSpace(line)
		switch {
		case line == "", line[0] == '#', line[0] == ';':
			continue
		case len(all) > 0 && len(all[len(all)-1].keys) > 0 && (more || indented):
			last := &all[len(all)-1].keys[len(all[len(all)-1].keys)-1]
			last.value, more = joined(last.value+" "+line, line)
			continue
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			all = append(all, section{name: line[1 : len(line)-1]})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || len(all) == 0 {
			return nil, fmt.Errorf("line %d: want KEY=VALUE below a [SECTION]", n)
		}
		e := entry{key: strings.TrimSpace(key)}
		e.value, more = joined(strings.TrimSpace(value), line)
		last := &all[len(all)-1]
		last.keys = append(last.keys, e)
	}
	return all, nil
}

// joined is a value without the backslash at the end of its last line, which
// says that there is more.
func joined(value, line string) (string, bool) {
	if strings.HasSuffix(line, `\`) {
		return strings.TrimSpace(strings.TrimSuffix(value, `\`)), true
	}
	return value, false
}
