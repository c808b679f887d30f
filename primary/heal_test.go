package primary

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// What could not be written is tried again, less and less often, told again while
// it lasts, and told when it is over.
func TestHeal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	l := &loop{
		spawn: &spawner{},
		cfg:   Config{State: dir, Console: func(string) {}}, saver: &saver{path: filepath.Join(dir, recordFile), sick: true}, counter: &counter{},
		news: newEventLog(1, keptEvents, keptBytes, func(control.Event) int { return 1 }),
		post: func(event) bool { return true },
	}
	defer l.trimmer.Stop()
	now := time.Now()
	attempts := 0
	for range int(6 * time.Minute / tickEvery) {
		due := l.healing.due
		l.heal(now)
		if l.healing.due != due {
			attempts++
		}
		now = now.Add(tickEvery)
	}
	if attempts < 8 || attempts > 15 {
		t.Errorf("%d attempts in six minutes", attempts)
	}
	must(t, os.Mkdir(dir, 0o700))
	l.heal(now.Add(healLast))
	var kinds []string
	happened, _, _ := l.news.read(0)
	for _, e := range happened {
		kinds = append(kinds, string(e.Kind))
	}
	if d := cmp.Diff([]string{"cluster.trouble", "cluster.mended"}, kinds); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := loadRecord(dir); err != nil || l.saver.sick {
		t.Errorf("the record: %v", err)
	}
}
