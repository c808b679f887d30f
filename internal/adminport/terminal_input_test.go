package adminport

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/internal/audit"
)

// feed gives bytes to a guard at a prompt; the Enter after a Ctrl-C is shown
// as !.
func feed(g *guard, in string) (string, error) {
	var out []byte
	for i := range len(in) {
		next, interrupt, err := g.step(in[i], out)
		if err != nil {
			return "", err
		}
		out = next
		if interrupt {
			out = g.interrupt(out)
		}
	}
	return shown(strings.ReplaceAll(string(out), string(rune(endInterrupted)), "!")), nil
}

// shown writes keys as <LEFT>.
func shown(text string) string {
	for key, name := range map[rune]string{
		keyLeft: "LEFT", keyRight: "RIGHT", keyUp: "UP", keyDown: "DOWN", keyHome: "HOME", keyEnd: "END",
		keyWordLeft: "WORD-LEFT", keyWordRight: "WORD-RIGHT", keyWordBack: "WORD-BACK", keyWordAhead: "WORD-AHEAD",
		keyDelete: "DELETE", keyDeleteOrLeave: "CTRL-D", keyBackspace: "BACK", keyComplete: "TAB", keyHelp: "?",
		keyInterrupted: "CTRL-C", keySearch: "SEARCH",
	} {
		text = strings.ReplaceAll(text, string(key), "<"+name+">")
	}
	return text
}

func TestGuard(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"text", "status\r", "status\r"},
		{"CR LF is one Enter", "a\r\nb\r", "a\rb\r"},
		{"LF alone is Enter", "a\nb\n", "a\rb\r"},
		{"two Enters", "a\r\rb", "a\r\rb"},
		{"Ctrl-C", "worker ki\x03", "worker ki<CTRL-C>!"},
		{"Ctrl-C in a paste", pasteBegin + "rm\x03", "rm<CTRL-C>!"},
		{"Ctrl-C in an escape sequence", "\x1b[1\x03x", "<CTRL-C>!x"},
		{"Ctrl-D", "\x04", "<CTRL-D>"},
		{"other control characters", "a\x1c\x1d\x1e\x1fb", "ab"},
		{"a question", "worker ?", "worker <?>"},
		{"a question mark in a paste", pasteBegin + "worker ?" + pasteEnd, "worker ?"},
		{"keys of ours from outside", "a\ufdd0\ufdd2\ufdefb", "ab"},
		{"runes without a column", "e\u200b\u202e\U00100000x", "ex"},
		{"marks and joiners", "e\u0301👩\u200d💻", "e\u0301👩\u200d💻"},
		{"NUL is dropped", "a\x00b", "ab"},
		{"arrows", "\x1b[A\x1b[B\x1b[C\x1b[D", "<UP><DOWN><RIGHT><LEFT>"},
		{"arrows, application mode", "\x1bOA\x1bOD", "<UP><LEFT>"},
		{"Home and End", "\x1b[H\x1b[F\x1b[1~\x1b[4~\x1b[7~\x1b[8~\x1bOH\x1bOF", strings.Repeat("<HOME><END>", 4)},
		{"Delete", "\x1b[3~", "<DELETE>"},
		{"words", "\x1b[1;5C\x1b[1;5D\x1bf\x1bb\x1bd", "<WORD-RIGHT><WORD-LEFT><WORD-RIGHT><WORD-LEFT><WORD-AHEAD>"},
		{"Alt-Backspace", "\x1b\x7f", "<WORD-BACK>"},
		{"function keys do nothing", "a\x1bOP\x1b[15~\x1b[[Ab", "ab"},
		{"Enter in an escape sequence", "\x1b[1\ra", "\ra"},
		{"a new escape sequence", "\x1b[1\x1b[A", "<UP>"},
		{"long escape sequence", "\x1b[" + strings.Repeat("0", 40) + "x", strings.Repeat("0", 10) + "x"},
		{"paste", pasteBegin + "a\tb\x1b[A\x01\x04c\rd" + pasteEnd + "e", "a bc\rde"},
		{"runes", "jü漢😀", "jü漢😀"},
		{"broken UTF-8", "a\xff\xfeb\xc3(c\xe2\x82", "ab(c"},
		{"rune after a broken one", "\xe2\xc3\xbc", "ü"},
		{"the error rune and C1", "a\uFFFD\u0085\u009bb", "ab"},
	} {
		got, err := feed(&guard{}, tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"status\r\n", "\x1b[200~a\x1b[201~\r", "\x1b[1;5C\x1bOH\x03", "\xff\xc3\x03\x00", "\x1b[" + strings.Repeat("0", 300),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		g := &guard{}
		out, err := feed(g, string(in))
		if err != nil {
			if len(in) <= maxUnbroken {
				t.Errorf("%d bytes: %v", len(in), err)
			}
			return
		}
		if !utf8.ValidString(out) || strings.ContainsAny(out, "\x00\x03\n\uFFFD") {
			t.Errorf("%q gives %q", in, out)
		}
		if len(g.seq) > maxEscape || len(g.text) >= utf8.UTFMax {
			t.Errorf("%q: %d and %d bytes are kept", in, len(g.seq), len(g.text))
		}
		if i := strings.IndexFunc(out, func(r rune) bool { return r < 0x20 && r != '\r' || r == filler || r == gap }); i >= 0 {
			t.Errorf("%q gives %q", in, out[i])
		}
	})
}

// ESC and then 255 times 0: x/term fills its 256 bytes, reads into an empty
// slice for ever, and is deaf to the end of the input.
func TestF1_long_escape(t *testing.T) {
	f := start(t, Config{})
	term := f.terminal("viewer", "look")
	term.send("\x1b" + strings.Repeat("0", 255) + "\x15foo 1\r")
	term.expect("foo\r\n1\r\n")
	term.send("\x1b[" + strings.Repeat("0", 10_000) + "\x15foo 2\r")
	term.expect("foo\r\n2\r\n")
	term.send("exit\r")
	if status := term.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// ESC [200~ and then 100 MB: x/term honours a paste that was never asked for
// and keeps all of it. How much is kept of what is not read is TestIntake's.
func TestF2_unfinished_paste(t *testing.T) {
	f := start(t, Config{})
	term := f.terminal("viewer", "look")
	term.send(pasteBegin)
	block := bytes.Repeat([]byte("x"), 16<<10)
	closed := make(chan struct{})
	go func() { // for as long as the server listens
		defer close(closed)
		for _, err := term.in.Write(block); err == nil; _, err = term.in.Write(block) {
		}
	}()
	wait(t, "the end of the connection", closed)
	eventually(t, "the record", func() bool { return len(f.audit.events(audit.EventDropped)) == 1 })
}

// A million bytes without Enter, not in a paste.
func TestF3_long_line(t *testing.T) {
	in := newInput(func() {})
	in.begin()
	r := io.LimitReader(endless('x'), 1<<20)
	done := make(chan error, 1)
	go func() { done <- in.pump(r) }()
	buf := make([]byte, 256)
	read := 0
	for {
		n, err := in.take(buf)
		read += n
		if err != nil {
			break
		}
		if n == 0 {
			<-in.ready
		}
	}
	if err := <-done; !errors.Is(err, errUnbroken) || read > maxUnbroken {
		t.Errorf("%v after %d bytes", err, read)
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestInputInterruptsACommand(t *testing.T) {
	interrupts := 0
	in := newInput(func() { interrupts++ })
	if err := in.put([]byte("typed ahead\r\x03next\r")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	in.begin()
	n, err := in.take(buf)
	m, _ := in.take(buf[n:])
	if got := string(buf[:n+m]); got != "next\r" || err != nil || interrupts != 1 {
		t.Errorf("%q, %v, %d interrupts", got, err, interrupts)
	}
	if in.end() {
		t.Error("the line counts as interrupted")
	}
}

func TestInputTakesLineByLine(t *testing.T) {
	in := newInput(func() {})
	in.begin()
	if err := in.put([]byte("one\rtw\x03three")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	for _, want := range []struct {
		text        string
		interrupted bool
	}{{"one\r", false}, {"tw<CTRL-C>\r", true}, {"three", false}} {
		in.begin()
		n, _ := in.take(buf)
		m, _ := in.take(buf[n:])
		if got := shown(string(buf[:n+m])); got != want.text || in.end() != want.interrupted {
			t.Errorf("%q, want %+v", got, want)
		}
	}
}

func TestTypeAheadIsBounded(t *testing.T) {
	in := newInput(func() {})
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = in.put(bytes.Repeat([]byte("x\r"), 1<<10))
	}
	if !errors.Is(err, errTypeAhead) {
		t.Errorf("%v, want %v", err, errTypeAhead)
	}
}

func TestPumpPassesErrorsOn(t *testing.T) {
	in := newInput(func() {})
	in.begin()
	broken := errors.New("broken")
	if err := in.pump(io.MultiReader(strings.NewReader("a\r"), iotest.ErrReader(broken))); err != nil {
		t.Errorf("pump: %v", err)
	}
	buf := make([]byte, 10)
	for range 2 { // the letter, and Enter alone
		if n, err := in.take(buf); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if _, err := in.take(buf); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
}
