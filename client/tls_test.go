package client

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindPin(t *testing.T) {
	const file = "# ours\n\nshop:7777 SHA256:a\nother:7777 SHA256:b\nshop:7777 SHA256:c\n"
	for _, tt := range []struct{ text, host, want, err string }{
		{file, "shop:7777", "SHA256:c", ""},
		{file, "other:7777", "SHA256:b", ""},
		{file, "shop:7778", "", ""},
		{"", "shop:7777", "", ""},
		{file + "shop:7777", "other:7777", "", "pins:6: must be HOST:PORT SHA256:…"},
		{"shop:7777 MD5:a\n", "shop:7777", "", "pins:1: must be HOST:PORT SHA256:…"},
	} {
		got, err := findPin("pins", []byte(tt.text), tt.host)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff([]string{tt.want, tt.err}, []string{got, text}); diff != "" {
			t.Errorf("%s in %q (-want +got):\n%s", tt.host, tt.text, diff)
		}
	}
}

// FuzzFindPin: a fingerprint is one of the file, for that host.
func FuzzFindPin(f *testing.F) {
	f.Add([]byte("shop:7777 SHA256:a\n"), "shop:7777")
	f.Fuzz(func(t *testing.T, text []byte, host string) {
		got, err := findPin("pins", text, host)
		if err != nil && got != "" || got != "" && !strings.Contains(string(text), host) {
			t.Errorf("%q for %q and %v", got, host, err)
		}
	})
}
