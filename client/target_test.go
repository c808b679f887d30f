package client

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/internal/commandline"
)

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		text, err string
		want      Target
	}{
		{"shop", "", Target{"", "shop", "7777"}},
		{"admin@shop", "", Target{"admin", "shop", "7777"}},
		{"admin@shop:22", "", Target{"admin", "shop", "22"}},
		{"a@b@shop", "", Target{"a@b", "shop", "7777"}},
		{"::1", "", Target{"", "::1", "7777"}},
		{"[::1]", "", Target{"", "::1", "7777"}},
		{"admin@[fe80::1%eth0]:7778", "", Target{"admin", "fe80::1%eth0", "7778"}},
		{"", `no host ""`, Target{}},
		{"@shop", `"@shop": no user before the @`, Target{}},
		{"shop:", `no port "": 1 to 65535`, Target{}},
		{"shop:0", `no port "0": 1 to 65535`, Target{}},
		{"shop:65536", `no port "65536": 1 to 65535`, Target{}},
		{"[::1", `"[::1": must be [USER@]HOST[:PORT]`, Target{}},
		{"-oProxyCommand=x", `no host "-oProxyCommand=x"`, Target{}},
		{"a b", `"a b:7777": neither a host nor a user has such characters`, Target{}},
		{"*", `"*:7777": neither a host nor a user has such characters`, Target{}},
	} {
		got, err := ParseTarget(tt.text)
		text := ""
		if err != nil {
			got, text = Target{}, err.Error()
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseTarget(%q) (-want +got):\n%s", tt.text, diff)
		}
		if diff := cmp.Diff(tt.err, text); diff != "" {
			t.Errorf("error of ParseTarget(%q) (-want +got):\n%s", tt.text, diff)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("worker", "info")
	f.Add("it's", "")
	f.Add("#x", "a|b")
	f.Add(`\`, "“")
	f.Add("\xc3'\xa9", "x")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, word := range []string{a, b} {
			// In words of valid UTF-8 alone: "\xc3'\xa9" is valid without its quote.
			if _, err := commandline.Parse("'" + strings.ReplaceAll(word, "'", "") + "'"); err != nil || !utf8.ValidString(word) {
				return // cannot stand on a line
			}
		}
		got, err := commandline.Parse(Words([]string{a, b}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{a, b}, got); diff != "" {
			t.Errorf("words (-want +got):\n%s", diff)
		}
	})
}
