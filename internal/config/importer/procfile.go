package importer

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is a line of a Procfile.
var process = compiled(`^([A-Za-z0-9_-]+):\s*(.+)$`)

// Ports that foreman gives: the first program 5000, each further one 100 more.
const firstPort, portStep = 5000, 100

func readProcfile(_ context.Context, d *draft, _, text string) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := process().FindStringSubmatch(line)
		switch {
		case m == nil:
			d.note("%s: not understood", line)
			continue
		case m[1] == "release":
			d.note("%s: say update = [\"PROGRAM\", …] in a pool, and type reload --update", line)
			continue
		}
		p := d.pool(m[1])
		p.commandLine(m[2])
		if portName().MatchString(line) {
			p.variable("PORT", strconv.Itoa(firstPort+portStep*(len(d.pools)-1)))
		}
		p.overlap()
		if info, err := os.Stat(filepath.Join(d.dir, ".env")); err == nil && info.Mode().IsRegular() {
			p.set("env_file", ".env")
		}
	}
	return nil
}
