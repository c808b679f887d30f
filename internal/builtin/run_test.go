package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
)

var noWorker = &control.Error{Code: "no_such_worker", Message: "no worker web/99", Hint: "worker list"}

// told is what a person or program is told.
var told = []struct {
	line string
	err  error // of the cluster
	want result
}{
	{"", nil, result{}},
	{"  # nothing", nil, result{}},
	{"nosuch", nil, result{127, "", lines(`error: unknown command "nosuch"`, "hint: help")}},
	{"''", nil, result{127, "", lines(`error: unknown command ""`, "hint: help")}},
	{"worker ifno 3", nil, result{127, "", lines(`error: unknown command "worker ifno". Did you mean: worker info`)}},
	{"worker kill 3", nil, result{127, "", lines(`error: unknown command "worker kill"`, "hint: help worker")}},
	{"worker", nil, result{127, "", lines("error: worker is not a whole command: " +
		"worker attach, worker info, worker list, worker restart, worker revive, worker signal, worker stop")}},
	{"job --json", nil, result{127, "", lines(
		`{"version":1,"error":{"code":"unknown_command","message":"job is not a whole command: job cancel, job follow, job list","hint":""}}`)}},
	{"--follow log", nil, result{127, "", lines(`error: unknown command "--follow"`, "hint: flags go after the command")}},
	{"--json", nil, result{127, "", lines(
		`{"version":1,"error":{"code":"unknown_command","message":"unknown command \"--json\"","hint":"flags go after the command"}}`)}},
	{"worker li", nil, result{127, "", lines(`error: unknown command "worker li". Did you mean: worker list`)}},
	{"nos\u202euch", nil, result{127, "", lines(`error: unknown command "nos\u202euch"`, "hint: help")}},
	{"status\u00a0", nil, result{127, "", lines(
		"error: unknown command \"status\u00a0\"", "hint: column 7 is a no-break space (U+00A0): type a plain one")}},
	{"scale web “4”", nil, result{2, "", lines(
		`error: scale web “4”: "“4”" is not a number of workers: N, +N, -N or auto`, "hint: column 11 is a typographic quote (“): type ' or \"")}},
	{"worker info 'x", nil, result{2, "", lines("error: unclosed quote (') at column 13")}},
	{"status | grep", nil, result{2, "", lines(`error: "grep" is not a filter`, "hint: filters are match, except, count, head, tail; for the character | write '|'")}},
	{"status now", nil, result{2, "", lines(`error: status takes no argument, got "now"`, "hint: help status")}},
	{"worker info a b", nil, result{2, "", lines(`error: worker info: one argument too many: "b"`, "hint: help worker info")}},
	{"worker stop", nil, result{2, "", lines("error: worker stop: arguments are missing", "hint: help worker stop")}},
	{"reload --fast", nil, result{2, "", lines("error: reload: unknown flag: --fast", "hint: help reload")}},
	{"reload -h", nil, result{2, "", lines("error: reload: unknown flag: -h", "hint: help reload")}},
	{"reload --timeout 0s", nil, result{2, "", lines("error: reload: --timeout must be above 0", "hint: help reload")}},
	{"reload --timeout 5", nil, result{2, "", lines(`error: --timeout "5": write it with a unit, as in 5s or 1m30s`, "hint: help reload")}},
	{"log --for soon", nil, result{2, "", lines(`error: --for "soon": write it with a unit, as in 5s or 1m30s`, "hint: help log")}},
	{"log --lines 5s", nil, result{2, "", lines(
		`error: --lines "5s": not a whole number`, "hint: help log")}},
	{"worker info web/99", noWorker, result{1, "", lines("error: no worker web/99", "hint: worker list")}},
	{"worker info web/99 --json", noWorker, result{1, "", lines(
		`{"version":1,"error":{"code":"no_such_worker","message":"no worker web/99","hint":"worker list"}}`)}},
	{"nosuch --json", nil, result{127, "", lines(
		`{"version":1,"error":{"code":"unknown_command","message":"unknown command \"nosuch\"","hint":"help"}}`)}},
	{"nosuch -- --json", nil, result{127, "", lines(`error: unknown command "nosuch"`, "hint: help")}},
	{"status", control.ErrUsage, result{2, "", lines("error: wrong usage", "hint: help status")}},
	{"status", control.ErrDenied, result{77, "", lines("error: denied")}},
	{"status", control.ErrBusy, result{1, "", lines("error: busy", "hint: job list")}},
	{"status", control.ErrTimeout, result{124, "", lines("error: timed out")}},
	{"status", control.ErrUnavailable, result{1, "", lines("error: no primary")}},
	{"status", &control.Error{Code: "of the future", Message: "x"}, result{1, "", lines("error: x")}},
	{"status", context.DeadlineExceeded, result{124, "", lines("error: timed out")}},
	{"status", context.Canceled, result{130, "", lines("error: cancelled")}},
	{"status", fmt.Errorf("ask web/2: %w", context.DeadlineExceeded), result{124, "", lines("error: ask web/2: context deadline exceeded")}},
	{"status --json", context.Canceled, result{130, "", lines(
		`{"version":1,"error":{"code":"cancelled","message":"cancelled","hint":""}}`)}},
	{"status", errors.New("two\nlines \x1b[2J"), result{1, "", lines(`error: two\nlines \x1b[2J`)}},
}

func TestRunTells(t *testing.T) {
	for _, test := range told {
		f := hello()
		f.err = test.err
		if diff := cmp.Diff(test.want, newSession(t, f).do(t.Context(), test.line)); diff != "" {
			t.Errorf("%s:\n%s", test.line, diff)
		}
	}
}

func TestRunWords(t *testing.T) {
	s := newSession(t, hello())
	run := func(words ...string) result {
		s.out.Reset()
		s.err.Reset()
		in := commandline.Invocation{Args: words, Role: commands.Viewer, Control: s.control, Out: &s.out, Err: &s.err}
		return result{s.registry.Run(t.Context(), in), s.out.String(), s.err.String()}
	}
	if got := run("version"); got != (result{0, "norestart 1.2.3\n", ""}) {
		t.Errorf("version: %+v", got)
	}
	if got := run("version", "a\x00"); got.Status != commands.StatusUsage {
		t.Errorf("NUL in a word: %+v", got)
	}
	if got := run("a | 'b"); got.Status != commands.StatusUnknown {
		t.Errorf("a word is not parsed again: %+v", got)
	}
	if got := run([]string{}...); got != (result{}) {
		t.Errorf("no words: %+v", got)
	}
}

// The application's own commands: what they get and what becomes of what they
// return.
func TestCustomCommand(t *testing.T) {
	boom := errors.New("boom")
	returns := map[string]error{
		"plain":     boom,
		"usage":     commands.Usagef("which one? %w", boom),
		"wrapped":   fmt.Errorf("flush: %w", &control.Error{Status: 42, Code: "cold", Message: "cache is cold", Hint: "warm it"}),
		"huge":      &control.Error{Status: 255, Message: "never 255"},
		"negative":  &control.Error{Status: -1, Message: "nor this"},
		"typed-nil": (*control.Error)(nil),
		"details":   &control.Error{Message: "odd", Details: func() {}},
	}
	flush := commands.Command{Name: "cache flush", Role: commands.Viewer, Run: func(_ context.Context, call *commands.Call) error {
		call.Printf("%q json %t\n", call.Args, call.JSON)
		if len(call.Args) > 1 {
			return returns[call.Args[1]]
		}
		return nil
	}}
	s := newSession(t, hello(), flush)
	for line, want := range map[string]result{
		"cache flush":             {0, "[\"cache flush\"] json false\n", ""},
		"cache flush a -x --y=1":  {0, "[\"cache flush\" \"a\" \"-x\" \"--y=1\"] json false\n", ""},
		"cache flush a --json b":  {0, "[\"cache flush\" \"a\" \"b\"] json true\n", ""},
		"cache flush -- --json":   {0, "[\"cache flush\" \"--\" \"--json\"] json false\n", ""},
		"cache flush --help":      {0, "cache flush\n  (role viewer)\n", ""},
		"cache flush plain":       {1, "[\"cache flush\" \"plain\"] json false\n", "error: boom\n"},
		"cache flush usage":       {2, "[\"cache flush\" \"usage\"] json false\n", "error: which one? boom\nhint: help cache flush\n"},
		"cache flush wrapped":     {42, "[\"cache flush\" \"wrapped\"] json false\n", "error: flush: cache is cold\nhint: warm it\n"},
		"cache flush huge":        {1, "[\"cache flush\" \"huge\"] json false\n", "error: never 255\n"},
		"cache flush negative":    {1, "[\"cache flush\" \"negative\"] json false\n", "error: nor this\n"},
		"cache flush typed-nil":   {1, "[\"cache flush\" \"typed-nil\"] json false\n", "error: no error\n"},
		"cache flush details":     {1, "[\"cache flush\" \"details\"] json false\n", "error: odd\n"},
		"cache flush --json huge": {1, "[\"cache flush\" \"huge\"] json true\n", `{"version":1,"error":{"code":"failed","message":"never 255","hint":""}}` + "\n"},
		"cache flush --json wrapped": {
			42, "[\"cache flush\" \"wrapped\"] json true\n",
			`{"version":1,"error":{"code":"cold","message":"flush: cache is cold","hint":"warm it"}}` + "\n",
		},
		"cache flush --json details": {
			1, "[\"cache flush\" \"details\"] json true\n",
			`{"version":1,"error":{"code":"failed","message":"odd","hint":""}}` + "\n",
		},
	} {
		if diff := cmp.Diff(want, s.do(t.Context(), line)); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
}

// badError panics when it is asked what it says.
type badError struct{}

func (badError) Error() string { panic("no text") }

func TestPanic(t *testing.T) {
	type report struct {
		name  string
		value any
		stack bool
	}
	for name, test := range map[string]struct {
		run  func(context.Context, *commands.Call) error
		want report
	}{
		"panic":  {func(context.Context, *commands.Call) error { panic("oh") }, report{"boom", "oh", true}},
		"goexit": {func(context.Context, *commands.Call) error { runtime.Goexit(); return nil }, report{"boom", nil, true}},
		"error":  {func(context.Context, *commands.Call) error { return badError{} }, report{"boom", "no text", true}},
	} {
		s := newSession(t, hello(), commands.Command{Name: "boom", Role: commands.Viewer, Run: test.run})
		var got report
		s.in.Panicked = func(name string, value any, stack []byte) {
			got = report{name, value, strings.Contains(string(stack), "run_test.go")}
		}
		want := result{1, "", "error: boom: internal error; the log has the details\n"}
		if diff := cmp.Diff(want, s.do(t.Context(), "boom")); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(report{})); diff != "" {
			t.Errorf("%s: log:\n%s", name, diff)
		}
		if got := s.do(t.Context(), "version"); got.Status != 0 {
			t.Errorf("%s: and then: %+v", name, got)
		}
	}
}

func TestBeforeRefuses(t *testing.T) {
	s := newSession(t, hello())
	var words []string
	s.in.Before = func(name string, args []string) error {
		words = append([]string{name}, args...)
		return &control.Error{Code: "no_audit", Message: "the audit log cannot be written"}
	}
	want := result{1, "", "error: worker stop: the audit log cannot be written\n"}
	if diff := cmp.Diff(want, s.do(t.Context(), "worker stop web/1 --detach")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"worker stop", "worker", "stop", "web/1", "--detach"}, words); diff != "" {
		t.Error(diff)
	}
	if calls := s.control.asked(); len(calls) != 0 {
		t.Errorf("the cluster was asked: %q", calls)
	}
}

func TestAsk(t *testing.T) {
	double := commands.Command{Name: "double", Role: commands.Viewer, Run: func(_ context.Context, call *commands.Call) error {
		answer, err := call.Ask("Give me a number: ")
		if err != nil {
			return err
		}
		call.Printf("%s*2\n", answer)
		return nil
	}}
	s := newSession(t, hello(), double)
	want := result{1, "", "error: end of input\n"}
	if diff := cmp.Diff(want, s.do(t.Context(), "double")); diff != "" {
		t.Errorf("nobody to ask:\n%s", diff)
	}
	s.answers("21")
	want = result{0, "21*2\n", "Give me a number: \n"}
	if diff := cmp.Diff(want, s.do(t.Context(), "double")); diff != "" {
		t.Error(diff)
	}
	want = result{1, "", "Give me a number: \nerror: end of input\n"}
	if diff := cmp.Diff(want, s.do(t.Context(), "double")); diff != "" {
		t.Errorf("no more input:\n%s", diff)
	}
	s.in.Ask = func(ctx context.Context, _ string) (string, error) { return "", ctx.Err() }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := s.do(ctx, "double"); got != (result{130, "", ""}) {
		t.Errorf("Ctrl-C at the question: %+v", got)
	}
}

// A command of the application with flags and a question of its own.
func TestCustomFlags(t *testing.T) {
	drop := commands.Command{
		Name: "drop", Role: commands.Viewer, Usage: "NAME",
		Flags: func(flags *pflag.FlagSet) { flags.Bool("yes", false, "do not ask"); flags.Int("keep", 1, "how many") },
		Run: func(_ context.Context, call *commands.Call) error {
			names, err := call.Words(1, 1)
			if err != nil {
				return err
			}
			if yes, _ := call.Flags().GetBool("yes"); !yes {
				if err := call.Confirm("This drops " + names[0] + "."); err != nil {
					return err
				}
			}
			keep, err := call.Flags().GetInt("keep")
			call.Printf("%s %d\n", names[0], keep)
			return err
		},
	}
	for line, want := range map[string]result{
		"drop a --yes":            {0, "a 1\n", ""},
		"drop --yes --keep -1 -9": {0, "-9 -1\n", ""},
		"drop --yes -- --json":    {0, "--json 1\n", ""},
		"drop --yes -- -- ":       {0, "-- 1\n", ""},
		"drop -y a":               {2, "", "error: drop: unknown flag: -y\nhint: help drop\n"},
		"drop a":                  {0, "a 1\n", "This drops a. Type the cluster's name to go on: \n"},
	} {
		s := newSession(t, hello(), drop)
		s.in.Mode = commands.Interactive
		s.answers("hello")
		if diff := cmp.Diff(want, s.do(t.Context(), line)); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
}

// brokenWriter fails from the second write on.
type brokenWriter struct{ writes int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.writes++; w.writes > 1 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestOutputFails(t *testing.T) {
	chat := commands.Command{Name: "chat", Role: commands.Viewer, Run: func(_ context.Context, call *commands.Call) error {
		for range 5 {
			call.Printf("hello\n")
		}
		return nil
	}}
	s := newSession(t, hello(), chat)
	w := &brokenWriter{}
	status := s.registry.Run(t.Context(), commandline.Invocation{Line: "chat", Role: commands.Viewer, Control: s.control, Out: w, Err: &s.err})
	if want := "error: write output: io: read/write on closed pipe\n"; status != 1 || s.err.String() != want || w.writes != 2 {
		t.Errorf("status %d, %d writes, %q", status, w.writes, s.err.String())
	}
}

func TestCancelledHoweverItIsCalled(t *testing.T) {
	stubborn := commands.Command{Name: "stubborn", Role: commands.Viewer, Run: func(ctx context.Context, _ *commands.Call) error {
		<-ctx.Done()
		return errors.New("interrupted while flushing")
	}}
	s := newSession(t, hello(), stubborn)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := s.do(ctx, "nosuch"); got.Status != commands.StatusUnknown {
		t.Errorf("%+v", got)
	}
	if got := s.do(ctx, "stubborn"); got != (result{130, "", "error: interrupted while flushing\n"}) {
		t.Errorf("%+v", got)
	}
}

func TestPrefix(t *testing.T) {
	s := newSession(t, hello())
	s.in.Prefix = "line 3: "
	if got := s.do(t.Context(), "worker restrat 4"); got.Err != "line 3: error: unknown command \"worker restrat\". Did you mean: worker restart\n" {
		t.Errorf("%+v", got)
	}
}

// Whatever is typed: a known status, a reason when it is not 0, JSON that is
// JSON, and nothing that acts on a terminal.
func FuzzRun(f *testing.F) {
	for _, seed := range []string{
		"status", "worker info --json", "scale web -9", "scale -1", "worker ?", "reload --timeout=1s web --json",
		"help worker", "nosuch", "status --watch", "log | match [a | head 2", "worker list | tail 1 | count", "log --lines -1", "call web h -- --json", "stop", "worker signal web/0 HUP", "'", "job follow x --json",
	} {
		f.Add(seed)
	}
	statuses := map[int]bool{0: true, 1: true, 2: true, 77: true, 124: true, 127: true, 130: true}
	f.Fuzz(func(t *testing.T, line string) {
		s := newSession(t, hello())
		s.control.brief = true
		s.in.Panicked = func(name string, value any, stack []byte) { t.Fatalf("%s: %v\n%s", name, value, stack) }
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // ends a watch
		defer cancel()
		got := s.do(ctx, line)
		if !statuses[got.Status] || (got.Status == 0) != (got.Err == "") {
			t.Fatalf("%q: %+v", line, got)
		}
		if shown := strings.ReplaceAll(got.Out+got.Err, "\n", ""); commands.Safe(shown) != shown {
			t.Fatalf("%q acts: %+v", line, got)
		}
		if strings.HasPrefix(got.Err, "{") && !json.Valid([]byte(got.Err)) {
			t.Fatalf("%q: %s", line, got.Err)
		}
	})
}
