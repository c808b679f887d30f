package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// UnitDirs are the directories of units of systemd (systemd.unit(5)), the system's
// and those of a user.
func UnitDirs(home string) []string {
	return []string{"/etc/systemd/system", "/usr/lib/systemd/system", filepath.Join(home, ".config/systemd/user")}
}

// wanted are the settings that a unit of norestart needs.
var wanted = []struct {
	key    string
	values []string
	bites  bool
	why    string
}{
	{"Type", []string{"notify", "notify-reload"}, false, "systemd does not know when the workers are ready"},
	{"KillMode", []string{"process"}, true, "a primary that is killed takes its workers with it"},
	{"Restart", []string{"on-failure", "always", "on-abnormal"}, true, "a primary that is killed does not come back"},
	{"OOMPolicy", []string{"continue"}, true, "one worker that the kernel kills for its memory ends the whole unit"},
	{"ExecReload", nil, false, "systemctl reload does nothing"},
}

// units looks at those that start norestart, or the cluster by its name.
func (d *doctor) units() {
	seen := false
	for _, dir := range d.cluster.Units {
		files, _ := filepath.Glob(filepath.Join(dir, "*.service")) // the pattern is well
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			if set := settings(string(text)); strings.Contains(set["ExecStart"], "norestart up") {
				seen = true
				d.unit(file, set)
			}
		}
	}
	if !seen {
		d.note("unit", "no unit of systemd runs norestart up", "norestart init --systemd writes one, so that the cluster starts with the machine")
	}
}

func (d *doctor) unit(file string, set map[string]string) {
	about, before := "unit "+filepath.Base(file), len(d.found)
	for _, w := range wanted {
		if contains(w.values, set[w.key]) {
			continue
		}
		text, mend := w.key+"="+set[w.key]+": "+w.why, "see norestart init --systemd"
		if len(w.values) > 0 {
			mend = w.key + "=" + w.values[0] + ", then systemctl daemon-reload"
		}
		if w.bites {
			d.bites(about, text, mend)
		} else {
			d.note(about, text, mend)
		}
	}
	// Without it systemd removes what the next primary finds the workers by.
	if set["RuntimeDirectory"] != "" && !contains([]string{"yes", "true", "1", "on", "restart"}, set["RuntimeDirectoryPreserve"]) {
		d.bites(about, "RuntimeDirectory= is removed when the primary ends, and with it the sockets that its workers know", "RuntimeDirectoryPreserve=yes")
	}
	if len(d.found) == before {
		d.well(about, "%s", file)
	}
}

// contains reports whether a value is one of those; without any, whether there is
// one.
func contains(values []string, value string) bool {
	return slices.Contains(values, value) || len(values) == 0 && value != ""
}

// settings are the last values of the keys in [Service] (systemd.syntax(7)).
func settings(text string) map[string]string {
	set, section := make(map[string]string), ""
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "["):
			section = line
		case ok && section == "[Service]" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";"):
			set[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return set
}
