package builtin

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
)

// poison acts on a terminal: it sets the title, clears the screen, goes back to
// the beginning of the line, turns the direction of the text, and is no UTF-8.
const poison = "\x1b]0;x\a\x1b[2J\r\u202e\u009b\xff"

// poisoned adds it to every string in v.
func poisoned(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + poison)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type() != reflect.TypeFor[time.Time]() && v.Type().Field(i).IsExported() {
				poisoned(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[[]byte]() {
			v.SetBytes(append(v.Bytes(), poison...))
			return
		}
		for i := range v.Len() {
			poisoned(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			poisoned(v.Elem())
		}
	}
}

// F5: a worker, or a peer by way of a worker's log, puts escape sequences where
// an operator looks: names, errors, output, reasons. No command passes them on,
// as text or as JSON, except log --raw, where they were asked for.
func TestF5_escape_injection(t *testing.T) {
	arguments := map[string]string{
		"worker restart": "web/0", "worker stop": "web/0 --yes", "worker signal": "web/0 HUP", "scale": "3", "stop": "--yes", "rollback": "web",
		"job follow": "31", "job cancel": "31", "call": "web h", "session end": "0b", "session unblock": "192.0.2.66",
	}
	for _, c := range Commands("1") {
		for _, line := range []string{c.Name + " " + arguments[c.Name], c.Name + " web/0", c.Name + " " + arguments[c.Name] + " --json"} {
			for _, failing := range []bool{false, true} {
				f := eventful(time.Now())
				for _, v := range []any{&f.status, &f.workers, &f.detail, &f.jobs, &f.events, &f.end, &f.log, &f.happen, &f.replies} {
					poisoned(reflect.ValueOf(v).Elem())
				}
				if failing {
					f.err = &control.Error{Code: "x" + poison, Message: "broken" + poison, Hint: "try" + poison}
				}
				s := newSession(t, f)
				s.in.User = "viola" + poison
				got := s.do(t.Context(), line)
				if out := got.Out + got.Err; strings.ContainsAny(out, "\x1b\a\r\u202e\u009b") || strings.Contains(out, "\xff") {
					t.Errorf("%s: %q", line, out)
				}
			}
		}
	}
	if got := newSession(t, eventful(time.Now())).do(t.Context(), "log --raw"); !strings.Contains(got.Out, "\x1b[2J") {
		t.Errorf("log --raw: %q", got.Out)
	}
}
