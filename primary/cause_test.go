package primary

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var causes = map[string]struct{ written, want string }{
	"nothing":    {"", ""},
	"blank":      {"\n \n\t\n", ""},
	"last line":  {"starting\ncannot open /etc/app.conf\n", "cannot open /etc/app.conf"},
	"after it":   {"cannot open /etc/app.conf\n\n--\nexit status 1\n", "cannot open /etc/app.conf"},
	"only noise": {"\nexit status 1\n\n", "exit status 1"},
	"indented":   {"starting\n  cannot open x\n", "cannot open x"},
	"stamps": {
		"2026/11/29 11:06:51 listen tcp :80: bind: permission denied\n",
		"listen tcp :80: bind: permission denied",
	},
	"slog":    {"time=2026-11-29T11:06:51.123Z level=ERROR msg=\"no database\"\n", `level=ERROR msg="no database"`},
	"iso":     {"[2026-11-29 11:06:51,123] no database\n", "no database"},
	"control": {"\x1b[31mred\n", `\x1b[31mred`},
	"no utf8": {"a\xffb\n", "a�b"},
	"panic": {
		"serving\npanic: late crash: nil config\n\ngoroutine 7 [running]:\nmain.(*app).tick(0xc000012345, {0x1, 0x2})\n\t/src/app.go:17 +0x1d\n" +
			"created by main.main in goroutine 1\n\t/src/app.go:9 +0x65\n",
		"panic: late crash: nil config",
	},
	"raised again": {
		"panic: boom [recovered]\n\tpanic: no, worse\n\ngoroutine 1 [running]:\nmain.main.func1()\n\t/src/a.go:1 +0x1\npanic({0x49a2c0?, 0x4d1b08?})\n\t/go/panic.go:785 +0x132\n",
		"panic: boom",
	},
	"repanicked": {"panic: boom [recovered, repanicked]\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/a.go:1 +0x1\nexit status 2\n", "panic: boom"},
	"two lines":  {"panic: one\n\ttwo\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/a.go:1 +0x1\n", "panic: one"},
	"nil pointer": {
		"panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x48f0c4]\n\n" +
			"goroutine 1 [running]:\nmain.main()\n\t/src/a.go:1 +0x1\n",
		"panic: runtime error: invalid memory address or nil pointer dereference",
	},
	"fatal error": {
		"runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n\nruntime stack:\nruntime.throw({0x1?, 0x0?})\n\t/go/panic.go:1 +0x48\n\n" +
			"goroutine 1 gp=0xc1 m=0 mp=0x5 [running]:\nmain.f(...)\n\t/src/a.go:5\n...additional frames elided...\nrax    0x0\nrip    0x46\ncs     0x33\n",
		"fatal error: stack overflow",
	},
	"quit":         {"SIGQUIT: quit\nPC=0x46 m=0 sigcode=0\n\ngoroutine 0 [idle]:\nruntime.futex()\n\t/go/a.s:1 +0x1\n", "SIGQUIT: quit"},
	"long dump":    {"fatal error: concurrent map writes\n" + strings.Repeat("\ngoroutine 9 [select]:\nmain.f()\n\t/src/a.go:1 +0x1\n", 500), "fatal error: concurrent map writes"},
	"disturbed":    {"panic: boom\n\ngoroutine 1 [running]:\nGET /\nmain.main()\n\t/src/a.go:1 +0x1\nGET /\n", "panic: boom"},
	"recovered":    {"panic: boom\ngoroutine 1 [running]:\nmain.main()\n" + strings.Repeat("GET /\n", 20) + "no database\n", "no database"},
	"logged panic": {"http: panic serving 127.0.0.1:1: boom\ngoroutine 34 [running]:\nnet/http.(*conn).serve.func1()\n\t/go/server.go:1 +0xb0\n", "http: panic serving 127.0.0.1:1: boom"},
	"python": {
		"Traceback (most recent call last):\n  File \"/app/x.py\", line 1, in <module>\n    main()\n    ^^^^^^\nValueError: no database\n",
		"ValueError: no database",
	},
	"python, two": {
		"Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n" +
			"Traceback (most recent call last):\n  File \"x.py\", line 3, in f\nRuntimeError: no key\n",
		"RuntimeError: no key",
	},
	"node": {
		"/app/x.js:1\nthrow new Error('boom')\n^\n\nError: boom\n    at Object.<anonymous> (/app/x.js:1:7)\n    at node:internal/main:23:47 {\n  code: 'E'\n}\n\nNode.js v18.19.0\n",
		"Error: boom",
	},
	"node, module": {
		"node:internal/modules/cjs/loader:1\n  throw err;\n  ^\n\nError [MODULE_NOT_FOUND]: Cannot find module 'x'\nRequire stack:\n- /app/x.js\n    at x (y:1:1) {\n  requireStack: [ '/app/x.js' ]\n}\n\nNode.js v18\n",
		"Error [MODULE_NOT_FOUND]: Cannot find module 'x'",
	},
	"java": {"Exception in thread \"main\" java.lang.IllegalStateException: boom\n" + strings.Repeat("\tat a.B.c(B.java:1)\n", 40), `Exception in thread "main" java.lang.IllegalStateException: boom`},
	"rust": {"thread 'main' panicked at src/main.rs:2:5:\nboom\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/a.rs:1:5\nnote: run with `RUST_BACKTRACE=full`\n", "boom"},
}

func causeOf(written string) string {
	var c cause
	var o output
	for line := range strings.Lines(written) {
		line = strings.TrimSuffix(line, "\n")
		c.take(line)
		o.remember(line)
	}
	return c.text(o.tail)
}

func TestCause(t *testing.T) {
	for name, tt := range causes {
		if got := causeOf(tt.written); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	long := causeOf(strings.Repeat("ü", maxLine))
	if want := strings.Repeat("ü", maxCause/2) + " …"; long != want {
		t.Errorf("a long line: %q", long)
	}
	if got, want := causeOf(strings.Repeat("ü", maxLine)), strings.Repeat("ü", maxCause/2)+" …"; got != want {
		t.Errorf("a long line: %q", got)
	}
}

// Whatever a program writes: one short line that a terminal shows as it is, and
// none only if nothing was written.
func FuzzCause(f *testing.F) {
	for _, tt := range causes {
		f.Add(tt.written)
	}
	f.Fuzz(func(t *testing.T, written string) {
		got := causeOf(written)
		if len(got) > maxCause+len(" …") || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
			t.Errorf("%q", got)
		}
		if got == "" && strings.TrimSpace(written) != "" && strings.Count(written, "\n") < tailSize {
			t.Errorf("%q of %q", got, written)
		}
	})
}

func BenchmarkCause(b *testing.B) {
	var c cause
	for b.Loop() {
		c.take(`127.0.0.1 - - [29/Nov/2026:11:06:51 +0000] "GET /index.html HTTP/1.1" 200 612 "-" "curl/8.5.0"`)
	}
}
