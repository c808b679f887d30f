package client

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAdviser(t *testing.T) {
	yes := func(insert string) func(string, int, string) (string, bool) {
		return func(string, int, string) (string, bool) { return insert, true }
	}
	silent := func(string, int, string) (string, bool) { return "x", false }
	for name, tt := range map[string]struct {
		ask  func(string, int, string) (string, bool)
		key  rune
		line string
		pos  int
		want string
	}{
		"one way":            {yes("fo "), '\t', "worker in", 9, "fo "},
		"before a space":     {yes("fo "), '\t', "worker in web/1", 9, "fo"},
		"no way":             {yes(""), '\t', "worker ", 7, ""},
		"no answer":          {silent, '\t', "worker in", 9, ""},
		"nobody to ask":      {nil, '\t', "21", 2, ""},
		"a question":         {yes(""), keyQuestion, "worker ", 7, ""},
		"no question":        {yes("?"), keyQuestion, "foo", 3, "?"},
		"a question, silent": {silent, keyQuestion, "worker ", 7, "?"},
		"an answer with a ?": {nil, keyQuestion, "what", 4, "?"},
	} {
		a := adviser{columns: func() int { return 80 }}
		a.advised(tt.ask)
		if r, ok := a.filter(tt.key); r != '\t' || !ok {
			t.Errorf("%s: key %q", name, r)
		}
		got := ""
		for _, insert := range first(a.Do([]rune(tt.line), tt.pos)) {
			got += string(insert)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A TAB after one that found nothing to insert does not list the same again; any
// other key lets it.
func TestSecondTab(t *testing.T) {
	asked := 0
	a := adviser{columns: func() int { return 80 }}
	a.advised(func(string, int, string) (string, bool) { asked++; return "", true })
	for i, step := range []struct {
		key  rune
		want int
	}{{'\t', 1}, {'\t', 1}, {'x', 1}, {'\t', 2}, {keyQuestion, 3}, {keyQuestion, 4}, {'\t', 5}, {'\t', 5}} {
		if r, _ := a.filter(step.key); r == '\t' {
			a.Do([]rune("worker "), 7)
		}
		if asked != step.want {
			t.Errorf("key %d, %q: asked %d times, want %d", i, step.key, asked, step.want)
		}
	}
}

func first(list [][]rune, _ int) [][]rune { return list }

// An answer that comes late is not taken for that to the next question, and none
// is not waited for.
func TestLateAdvice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		talk := &talk{LineSession: &LineSession{conn: new(bytes.Buffer)}, advice: make(chan string, 1)}
		began := time.Now()
		if _, ok := talk.enquire(t.Context(), askComplete, 80, "wor"); ok || time.Since(began) != adviceWithin {
			t.Errorf("an answer, or none after %s", time.Since(began))
		}
		talk.advise("1 ker ")
		time.AfterFunc(time.Second, func() { talk.advise("2 tus ") })
		if insert, ok := talk.enquire(t.Context(), askComplete, 80, "sta"); !ok || insert != "tus " {
			t.Errorf("%q, %t", insert, ok)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, ok := talk.enquire(ctx, askComplete, 80, "sta"); ok {
			t.Error("an answer of nobody")
		}
	})
}
