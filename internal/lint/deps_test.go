package lint

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// floors are the oldest versions that are known to be sound. Go takes a newer
// one when anything needs it; this holds it back from an older one.
var floors = []struct{ module, version, why string }{
	{"golang.org/x/crypto", "v0.55.0", "ssh: keys that were only offered (CVE-2024-45337, v0.31), Terrapin (CVE-2023-48795, v0.17), " +
		"a peer that never ends its key exchange (CVE-2025-22869, v0.35), a panic before login (CVE-2026-46597, v0.52), " +
		"a processor that a dead connection keeps busy (golang/go#79717, in v0.52)"},
}

func TestG10_versions(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range floors {
		if got := required(string(text), f.module); !atLeast(got, f.version) {
			t.Errorf("go.mod has %s %q, want %s: %s", f.module, got, f.version, f.why)
		}
	}
}

// required is the version of a module in a go.mod; empty if it is not there, or
// replaced by something else.
func required(text, module string) string {
	version := ""
	for line := range strings.Lines(text) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		switch {
		case len(words) > 1 && words[0] == module && strings.HasPrefix(words[1], "v"):
			version = words[1]
		case len(words) > 1 && words[0] == "replace" && words[1] == module:
			return ""
		}
	}
	return version
}

// atLeast compares versions of the form vX.Y.Z; one of another form is too old.
func atLeast(got, want string) bool {
	a, b := parts(got), parts(want)
	for i := range b {
		if i >= len(a) {
			return false
		}
		if a[i] != b[i] {
			return a[i] > b[i]
		}
	}
	return true
}

func parts(version string) []int {
	var all []int
	for word := range strings.SplitSeq(strings.TrimPrefix(version, "v"), ".") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil
		}
		all = append(all, n)
	}
	return all
}

func TestAtLeast(t *testing.T) {
	for _, tt := range []struct {
		got  string
		want bool
	}{
		{"v0.55.0", true},
		{"v0.55.1", true},
		{"v0.100.0", true},
		{"v1.0.0", true},
		{"v0.54.9", false},
		{"v0.9.0", false},
		{"", false},
		{"v0.56.0-0.20260101000000-abcdef", false},
	} {
		if got := atLeast(tt.got, "v0.55.0"); got != tt.want {
			t.Errorf("atLeast(%q) = %t", tt.got, got)
		}
	}
	if got := required("replace golang.org/x/crypto => ./mine\nrequire golang.org/x/crypto v0.58.0\n", "golang.org/x/crypto"); got != "" {
		t.Errorf("a replaced module counts as %q", got)
	}
}
