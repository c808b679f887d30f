package audit_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/audit"
)

// Somebody who may only look writes until the oldest files go: what matters of
// them stays, each class in files of its own, and is read in the order in which
// it was written.
func TestWhatMattersStays(t *testing.T) {
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, audit.FileName), audit.Options{MaxSize: 4 << 10, Keep: 2, Reserve: 4 << 10})
	write := func(r audit.Record) {
		t.Helper()
		must(t, l.Append(r))
	}
	noise := audit.Record{Event: audit.EventStart, User: "viewer", Role: "viewer", Needs: "viewer", Argv: []string{strings.Repeat("x", 200)}}
	precious := []audit.Record{
		{Event: audit.EventLogin, User: "login", Role: "admin"},
		{Event: audit.EventStart, User: "stop", Role: "admin", Needs: "admin"},
		{Event: audit.EventRefused, User: "refused"},
		{Event: audit.EventStart, User: "older version", Role: "admin"},
		{Event: audit.EventEnd, User: "scale", Role: "operator", Needs: "operator"},
		{Event: audit.EventStart, User: "status", Role: "admin", Needs: "viewer"},
		{Event: audit.EventDenied, User: "denied", Role: "viewer", Needs: "admin"},
	}
	for _, r := range precious {
		write(r)
		for range 20 {
			write(noise)
		}
	}
	for range 200 {
		write(noise)
	}
	var got, want []string
	must(t, audit.Read(dir, time.Time{}, func(_ []byte, r audit.Record) error {
		if r.User != noise.User {
			got = append(got, r.User)
		}
		return nil
	}))
	for _, r := range precious {
		want = append(want, r.User)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("left of it: %q, want %q", got, want)
	}
	if got := users(t, filepath.Join(dir, "audit-admin.jsonl")); fmt.Sprint(got) != "[stop older version]" {
		t.Errorf("what admins changed: %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, audit.FileName+".3")); err == nil {
		t.Error("a third old file is kept")
	}
}

// Young files of what matters stay beyond their number, old ones do not.
func TestAgeOfWhatMatters(t *testing.T) {
	for age, want := range map[time.Duration]int{time.Hour: 8, time.Nanosecond: 2} {
		dir := t.TempDir()
		l := open(t, filepath.Join(dir, audit.FileName), audit.Options{MaxSize: 100, Keep: 2, Age: age})
		for range 40 {
			must(t, l.Append(audit.Record{Event: audit.EventStart, Role: "admin", Needs: "admin", User: "stop"}))
		}
		files, err := filepath.Glob(filepath.Join(dir, "audit-admin.jsonl.*"))
		must(t, err)
		if len(files) != want {
			t.Errorf("%v: %d older files, want %d", age, len(files), want)
		}
	}
}

func TestHiddenCharactersAreEscaped(t *testing.T) {
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, audit.FileName), audit.Options{})
	word := "a\u202eb\u200bc\u2066d\ufeffe\u00ade\ufe0ff\U000e0041g\u3164h\u2028ü€😀\x1b"
	must(t, l.Append(audit.Record{Event: audit.EventStart, Argv: []string{word}, Reason: word, Asked: word, Line: word, User: word}))
	text, err := os.ReadFile(filepath.Join(dir, audit.FileName))
	must(t, err)
	shown := `a\u202eb\u200bc\u2066d\ufeffe\u00ade\ufe0ff\udb40\udc41g\u3164h\u2028ü€😀\u001b`
	if strings.Count(string(text), shown) != 5 {
		t.Errorf("%s", text)
	}
	var r audit.Record
	must(t, json.Unmarshal(text, &r))
	if r.Argv[0] != word {
		t.Errorf("read back: %q", r.Argv[0])
	}
}

func TestClip(t *testing.T) {
	x := strings.Repeat("x", 8000)
	for _, tt := range []struct {
		argv []string
		want string
	}{
		{[]string{"scale", "web", "2"}, "scale web 2"},
		{[]string{"foo", x}, "foo " + x[:256] + "… (8000 bytes, sha256 "},
		{[]string{"foo", strings.Repeat("é", 200)}, "foo " + strings.Repeat("é", 128) + "… (400 bytes, sha256 "},
	} {
		got := strings.Join(audit.Clip(tt.argv), " ")
		if before, _, _ := strings.Cut(tt.want, "sha256 "); !strings.HasPrefix(got, before) || strings.Contains(got, "…") != strings.Contains(tt.want, "…") {
			t.Errorf("%.300s", got)
		}
	}
	many := audit.Clip(strings.Fields(strings.Repeat(x+" ", 300)))
	if last := many[len(many)-1]; len(many) != 3 || !strings.HasPrefix(last, "… 298 more words (2384297 bytes, sha256 ") {
		t.Errorf("%d words, the last one %q", len(many), last)
	}
	for _, argv := range [][]string{many, audit.Clip([]string{x}), audit.Clip(strings.Split(strings.Repeat("x", 1<<20), ""))} {
		dir := t.TempDir()
		must(t, open(t, filepath.Join(dir, audit.FileName), audit.Options{}).Append(audit.Record{Argv: argv}))
		must(t, audit.Read(dir, time.Time{}, func(_ []byte, r audit.Record) error {
			if strings.Join(r.Argv, " ") != strings.Join(argv, " ") {
				t.Errorf("clipped twice: %.300q", r.Argv)
			}
			return nil
		}))
	}
	if size := (audit.Record{Argv: audit.Clip(strings.Split(strings.Repeat("x", 1<<20), ""))}).Size(); size > 8<<10 {
		t.Errorf("words of a letter: %d bytes", size)
	}
}
