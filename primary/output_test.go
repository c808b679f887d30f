package primary

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
)

// listening is an output with the writer's end of its pipe.
func listening(t *testing.T) (*output, *os.File) {
	t.Helper()
	ours, child, err := openOutput()
	must(t, err)
	must(t, unix.SetNonblock(child, true)) // its own end only: so that Close ends a Write
	writer := os.NewFile(uintptr(child), "child")
	t.Cleanup(func() { writer.Close() })
	o := &output{
		worker: "web/0", inc: 5, file: ours, stopped: make(chan struct{}), show: func(string, string) {},
		keep: newEventLog(1, 10_000, 1<<20, func(x control.LogLine) int { return len(x.Text) }),
	}
	go o.read()
	return o, writer
}

// kept are the lines in the event log.
func (o *output) kept() (texts []string) {
	all, _, _ := o.keep.read(1)
	for _, l := range all {
		texts = append(texts, l.Text)
	}
	return texts
}

func TestOutput(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	tests := map[string]struct {
		pieces []string
		want   []string
	}{
		"nothing":            {nil, nil},
		"lines":              {[]string{"one\ntwo\n"}, []string{"one", "two"}},
		"torn":               {[]string{"o", "ne\nt", "wo", "\n"}, []string{"one", "two"}},
		"the last is torn":   {[]string{"one\ntw"}, []string{"one", "tw"}},
		"empty lines":        {[]string{"\n\none\n"}, []string{"", "", "one"}},
		"carriage returns":   {[]string{"one\r\ntwo\r\n"}, []string{"one", "two"}},
		"as long as allowed": {[]string{long + "\n"}, []string{long}},
		"too long":           {[]string{long + "yy", long, "\nnext\n"}, []string{long + " …", "next"}},
		"not text":           {[]string{"\xff\x00\n"}, []string{"\xff\x00"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o, w := listening(t)
			for _, p := range test.pieces {
				_, err := w.WriteString(p)
				must(t, err)
			}
			_, tail := o.finish() // the writer's end is still open, and it does not matter
			if d := cmp.Diff(test.want, o.kept()); d != "" {
				t.Errorf("lines (-want +got):\n%s", d)
			}
			if d := cmp.Diff(test.want, append([]string(nil), tail...)); d != "" {
				t.Errorf("last lines (-want +got):\n%s", d)
			}
		})
	}
}

// TestLastWordsAreKept: what a process writes right before its end is there.
func TestLastWordsAreKept(t *testing.T) {
	for range 50 {
		o, w := listening(t)
		var all bytes.Buffer
		for i := range 2000 {
			fmt.Fprintf(&all, "line %d\n", i)
		}
		_, err := w.Write(all.Bytes())
		must(t, err)
		if _, tail := o.finish(); len(tail) != tailSize || tail[tailSize-1] != "line 1999" {
			t.Fatalf("last lines %q", tail)
		}
		if n := len(o.kept()); n != 2000 {
			t.Fatalf("%d lines of 2000", n)
		}
	}
}

// TestTailIsBounded in lines and in bytes.
func TestTailIsBounded(t *testing.T) {
	o, w := listening(t)
	for i := range 30 {
		_, err := fmt.Fprintf(w, "%d %s\n", i, strings.Repeat("x", 1000))
		must(t, err)
	}
	_, tail := o.finish()
	if size := len(strings.Join(tail, "")); size > tailRoom || len(tail) != tailRoom/1003 || !strings.HasPrefix(tail[len(tail)-1], "29 ") {
		t.Errorf("%d lines, %d bytes", len(tail), size)
	}
}

// TestEndWhileOthersWrite: a descendant that holds the pipe and never stops
// does not hold up the news of the end.
func TestEndWhileOthersWrite(t *testing.T) {
	o, w := listening(t)
	var wg sync.WaitGroup
	more := bytes.Repeat([]byte{'\n'}, 64<<10) // slower to read than to write
	wg.Go(func() {
		for {
			if _, err := w.Write(more); err != nil {
				return
			}
		}
	})
	done := make(chan struct{})
	go func() { o.finish(); close(done) }()
	within(t, done)
	must(t, w.Close())
	wg.Wait()
}

// TestNobodyReads: a full pipe holds up its writer alone.
func TestNobodyReads(t *testing.T) {
	ours, child, err := openOutput()
	must(t, err)
	w := os.NewFile(uintptr(child), "child")
	must(t, ours.Close())
	_, err = w.WriteString("no reader, and no SIGPIPE\n")
	if err != nil {
		t.Errorf("a worker without a primary: %v", err)
	}
	must(t, w.Close())
}

func TestConsole(t *testing.T) {
	var out bytes.Buffer
	c := newConsole(&out, "shop")
	for i := range consoleRoom + 5 {
		c.say(fmt.Sprint(i))
	}
	go c.run()
	c.close()
	<-c.done
	all := strings.Split(strings.TrimSpace(out.String()), "\n")
	if all[0] != "shop: 5 lines are left out here, see: log" || all[1] != "shop: 0" || len(all) != consoleRoom+1 {
		t.Errorf("%d lines, the first %q", len(all), all[0])
	}
}

// TestConsoleOfATerminal: there each line has its time.
func TestConsoleOfATerminal(t *testing.T) {
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	c := newConsole(theirs, "shop")
	go c.run()
	c.say("1 of 1 workers ready")
	c.close()
	must(t, theirs.Close())
	line, err := bufio.NewReader(ours).ReadString('\n')
	if !regexp.MustCompile(`^\d\d:\d\d:\d\d shop: 1 of 1 workers ready\r\n$`).MatchString(line) {
		t.Errorf("%q, %v", line, err)
	}
}

// TestConsoleGoesOn: what a slow reader has not seen goes over an exec.
func TestConsoleGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := newConsole(io.Discard, "shop")
		for i := range consoleRoom + 2 {
			slow.say(fmt.Sprint(i))
		}
		var out bytes.Buffer
		c := newConsole(&out, "shop")
		c.goOn(slow.leave())
		c.say("next")
		go c.run()
		c.close()
		<-c.done
		all := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(all) != consoleRoom+1 || all[0] != "shop: 3 lines are left out here, see: log" || all[1] != "shop: 0" {
			t.Errorf("%d lines, the first %q", len(all), all[:2])
		}
	})
}

func TestQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"plain ü\ttext":   "plain ü\ttext",
		"\x1b[2Jcleared":  `\x1b[2Jcleared`,
		"bell\a":          `bell\a`,
		"c1 \u009b31m":    `c1 \u009b31m`,
		"back\bspace":     `back\bspace`,
		"\"quoted\" text": `"quoted" text`,
	} {
		if got := quoted(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
