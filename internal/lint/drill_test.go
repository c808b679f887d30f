package lint

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const (
	drillScript = "internal/e2e/testdata/script/drill.txtar"
	drillPage   = "docs/drill.md"
)

// step is a command of the drill, with what must be in its output, or with the
// output.
type step struct {
	scene, command string
	want           []string
	output         string
}

var (
	toSSH     = regexp.MustCompile(`\bssh -F \S+( -o \S+)?`)
	scene     = regexp.MustCompile(`^#+ (\d+)\. `)
	asserted  = regexp.MustCompile(`^std(?:out|err) '(.*)'$`)
	waited    = regexp.MustCompile(`-(?:stdout|stderr) '(.*?)' ssh`)
	variables = regexp.MustCompile(`'\$[A-Z0-9]+'`)
)

// played are the commands that the script of the drill types.
func played(text string) (steps []step) {
	text, _, _ = strings.Cut(text, "\n-- ")
	at, typed := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := scene.FindStringSubmatch(line); m != nil {
			at = m[1]
		}
		if m := asserted.FindStringSubmatch(line); m != nil {
			if typed { // else it is of another program
				steps[len(steps)-1].want = append(steps[len(steps)-1].want, m[1])
			}
			continue
		}
		i := toSSH.FindStringIndex(line)
		if typed = i != nil && at != "" || typed && strings.HasPrefix(line, "! std"); i != nil && typed {
			s := step{scene: at, command: "ssh" + line[i[1]:]}
			for _, m := range waited.FindAllStringSubmatch(line, -1) {
				s.want = append(s.want, m[1])
			}
			steps = append(steps, s)
		}
	}
	return steps
}

// shown are the commands on the page, with their output.
func shown(text string) (steps []step) {
	at := ""
	for line := range strings.Lines(text) {
		if m := scene.FindStringSubmatch(line); m != nil {
			at = m[1]
		}
		rest, block := strings.CutPrefix(line, "    ")
		command, typed := strings.CutPrefix(rest, "$ ")
		switch {
		case block && typed:
			steps = append(steps, step{scene: at, command: strings.TrimSpace(command)})
		case block && len(steps) > 0:
			steps[len(steps)-1].output += rest
		}
	}
	return steps
}

// TestDrillIsCurrent: docs/drill.md shows the commands of the drill that the
// tests play, in their order, and for each an output as the script wants it.
func TestDrillIsCurrent(t *testing.T) {
	script, err := os.ReadFile(drillScript)
	if err != nil {
		t.Fatal(err)
	}
	want, have := played(string(script)), shown(pages(t)[drillPage])
	if len(want) < 30 || want[len(want)-1].scene != "10" {
		t.Fatalf("%d commands in %s: does this test read it right?", len(want), drillScript)
	}
	for i, w := range want {
		if i >= len(have) || have[i].scene != w.scene || have[i].command != w.command {
			t.Fatalf("%s must show %q in scene %s, as command %d, and has %s", drillPage, w.command, w.scene, i+1, fmt.Sprint(have[min(i, len(have)):min(i+1, len(have))]))
		}
		for _, re := range w.want {
			re = variables.ReplaceAllString(re, `\d+`)
			if !regexp.MustCompile("(?m)" + re).MatchString(have[i].output) {
				t.Errorf("%s, scene %s, %q: no %q in\n%s", drillPage, w.scene, w.command, re, have[i].output)
			}
		}
	}
	if len(have) > len(want) {
		t.Errorf("%s shows %q, which is not played", drillPage, have[len(want)].command)
	}
}
