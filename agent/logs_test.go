package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

func logged(text string) control.LogLine {
	return control.LogLine{Time: time.Unix(1_700_000_000, 5e6), Worker: "web/1", Text: text}
}

func openLog(t *testing.T, l Log) *logFile {
	l.Pool, l.Path = "web", filepath.Join(t.TempDir(), "web.log")
	if l.Size == 0 {
		l.Size = 1 << 20
	}
	return newLogFile(l, func(string, int64) {})
}

func (f *logFile) writeAll(all ...string) {
	for _, text := range all {
		f.write(f.render(nil, logged(text)), 1)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{
		"text": "2023-11-14T22:13:20.005Z web/1 a \"b\"\xff\n",
		"json": `{"time":"2023-11-14T22:13:20.005Z","worker":"web/1","text":"a \"b\"\ufffd"}` + "\n",
		"raw":  "a \"b\"\xff\n",
	} {
		f := openLog(t, Log{Format: format})
		f.writeAll("a \"b\"\xff")
		if diff := cmp.Diff(want, content(t, f.Path)); diff != "" {
			t.Errorf("%s: -want +got\n%s", format, diff)
		}
		f.close()
	}
}

func TestLogRotates(t *testing.T) {
	f := openLog(t, Log{Format: "raw", Size: 10, Keep: 2})
	f.writeAll("1", "two two", "3", strings.Repeat("4", 20), "5")
	for path, want := range map[string]string{"": "5\n", ".1": strings.Repeat("4", 20) + "\n", ".2": "3\n"} {
		if got := content(t, f.Path+path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if _, err := os.Stat(f.Path + ".3"); err == nil {
		t.Error("three are kept")
	}
	f.close()
	none := openLog(t, Log{Format: "raw", Size: 4})
	none.writeAll("1", "2", "3")
	if got := content(t, none.Path); got != "3\n" {
		t.Errorf("without any kept: %q", got)
	}
	none.close()
}

// TestLogRenamed: logrotate(8) may do it, too.
func TestLogRenamed(t *testing.T) {
	f := openLog(t, Log{Format: "raw"})
	f.writeAll("1")
	if err := os.Rename(f.Path, f.Path+"-old"); err != nil {
		t.Fatal(err)
	}
	f.looked = time.Time{}
	f.writeAll("2")
	if got := content(t, f.Path); got != "2\n" {
		t.Errorf("%q", got)
	}
	f.close()
}

// TestLogFails: what was not written is told as soon as it can be, and nothing is
// written in part.
func TestLogFails(t *testing.T) {
	f := openLog(t, Log{Format: "text"})
	if err := syscall.Mkfifo(f.Path, 0o600); err != nil { // which nobody reads
		t.Fatal(err)
	}
	f.writeAll("1", "2")
	if err := os.Remove(f.Path); err != nil {
		t.Fatal(err)
	}
	f.writeAll("3") // a moment later it is not tried
	if _, err := os.Stat(f.Path); err == nil {
		t.Error("it was tried again at once")
	}
	f.retry = time.Time{}
	f.dropped.Add(4)
	f.writeAll("4", "5")
	lines := strings.Split(content(t, f.Path), "\n")
	if len(lines) != 4 || !strings.HasSuffix(lines[0], " norestart 7 lines are missing here: they could not be written, or not fast enough") {
		t.Errorf("%q", lines)
	}
	f.close()
}

// TestLogs: the next agent goes on where this one ended; a file that hangs takes
// nothing from the others.
func TestLogs(t *testing.T) {
	c, dir := shop(), t.TempDir()
	all := []Log{{Pool: "web", Path: filepath.Join(dir, "web.log"), Format: "raw", Size: 1 << 20}}
	say := func(text string) { c.say(logged(text)) }
	say("first")
	for i, more := range []string{"second", "third"} {
		ctx, cancel := context.WithCancel(t.Context())
		l := newLogs(c, filepath.Join(dir, LogsFile), newCounted(), all)
		stuck := newLogFile(Log{Pool: "jobs"}, func(string, int64) {})
		done := make(chan struct{})
		go func() { l.run(ctx); close(done) }()
		say(more)
		await(t, func() bool { return l.files["web"].done.Load() >= uint64(i+2) })
		for range queuedLines + 3 { // nobody takes them
			l.give(stuck, logged("x"))
		}
		if n := stuck.dropped.Load(); n != 3 {
			t.Errorf("%d dropped", n)
		}
		cancel()
		<-done
	}
	if got := content(t, all[0].Path); got != "first\nsecond\nthird\n" {
		t.Errorf("%q", got)
	}
	l := newLogs(c, filepath.Join(dir, LogsFile), newCounted(), all)
	x := logged("late")
	x.Skipped = 9
	l.take(x)
	if note := <-l.files["web"].lines; note.Worker != ourselves || !strings.HasPrefix(note.Text, "up to 9 lines of all pools are missing") {
		t.Error(fmt.Sprint(note))
	}
}
