package importer

import (
	"regexp"
	"strings"
	"sync"

	"github.com/google/shlex"
)

var (
	// assignment is a variable before a command, without anything to expand.
	assignment = compiled(`^([A-Za-z_][A-Za-z0-9_]*)=([^\s"'$` + "`" + `\\]*)\s+`)
	portName   = compiled(`\$\{?PORT\b`)
)

// compiled is an expression that costs the other processes of norestart nothing.
func compiled(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// shellWords are characters for which a command line needs a shell.
const shellWords = "$`|&;<>()*?[]{}~#\\"

// commandLine sets the command of a pool to a line that a shell would run. It
// stays without one where that is the same.
func (p *pool) commandLine(text string) {
	text = strings.TrimSpace(text)
	text = strings.TrimPrefix(text, "exec ")
	if bare, ok := strings.CutPrefix(text, "env "); ok && assignment().MatchString(bare) {
		text = bare
	}
	for m := assignment().FindStringSubmatch(text); m != nil; m = assignment().FindStringSubmatch(text) {
		p.variable(m[1], m[2])
		text = text[len(m[0]):]
	}
	words, err := shlex.Split(text)
	if err == nil && len(words) > 0 && !strings.ContainsAny(text, shellWords) {
		p.set("command", words)
		return
	}
	if !strings.ContainsAny(text, "|&;()\n") && !strings.Contains(strings.SplitN(text, " ", 2)[0], "=") {
		text = "exec " + text // the program gets the signals, not the shell
	}
	p.set("command", []string{"sh", "-c", text})
}
