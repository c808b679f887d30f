package inherit

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	tcp := netip.MustParseAddrPort
	for _, c := range []struct {
		in   string
		want Listen
		out  string // when it is not in
	}{
		{"tcp://127.0.0.1:8080", Listen{TCP: tcp("127.0.0.1:8080")}, ""},
		{"web=tcp://[::1]:0", Listen{Name: "web", TCP: tcp("[::1]:0")}, ""},
		{"tcp://:80", Listen{TCP: tcp("[::]:80")}, "tcp://[::]:80"},
		{"tcp://0.0.0.0:80", Listen{TCP: tcp("0.0.0.0:80")}, ""},
		{"tcp://[fe80::1%eth0]:1", Listen{TCP: tcp("[fe80::1%eth0]:1")}, ""},
		{"tcp://[::ffff:127.0.0.1]:80", Listen{TCP: tcp("127.0.0.1:80")}, "tcp://127.0.0.1:80"},
		{"unix:///run/app.sock", Listen{Path: "/run/app.sock"}, ""},
		{"a.b-c_D=unix:///run/../a//b=c", Listen{Name: "a.b-c_D", Path: "/a/b=c"}, "a.b-c_D=unix:///a/b=c"},
	} {
		got, err := Parse(c.in)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.in, diff)
		}
		if want := c.out; got.String() != c.in && got.String() != want {
			t.Errorf("%s is written as %s, want %s", c.in, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    `want "tcp://`,
		"127.0.0.1:80":                        `want "tcp://`,
		"http://127.0.0.1:80":                 `unknown scheme "http"`,
		"tcp://localhost:80":                  "want an IP address",
		"tcp://127.0.0.1":                     "want an IP address",
		"tcp://127.0.0.1:65536":               "want an IP address",
		"tcp://127.0.0.1:-1":                  "want an IP address",
		"tcp://::1:80":                        "want an IP address",
		"=tcp://127.0.0.1:80":                 `bad name ""`,
		"a:b=tcp://127.0.0.1:80":              `bad name "a:b"`,
		"a=b=tcp://127.0.0.1:80":              `unknown scheme "b=tcp"`,
		strings.Repeat("n", 65) + "=tcp://":   "bad name",
		"unix://run/app.sock":                 "absolute path",
		"unix://@abstract":                    "absolute path",
		"unix:///run/":                        "names a directory",
		"unix:///run/..":                      "names a directory",
		"unix:///.":                           "names a directory",
		"unix:///a\x00b":                      "zero byte",
		"unix:///" + strings.Repeat("n", 256): "too long",
		"unix:///" + strings.Repeat("n/", 2048) + "x": "too long",
	} {
		if l, err := Parse(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, %v; want %q", in, l, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"tcp://127.0.0.1:8080", "web=tcp://[::1%a]:0", "tcp://:80", "n=unix:///a/../b", "unix:////", "unix:///."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if err != nil {
			return
		}
		if (l.Path == "") != l.TCP.IsValid() {
			t.Errorf("%q is neither or both: %+v", s, l)
		}
		again, err := Parse(l.String())
		if err != nil || again != l {
			t.Errorf("%q is %+v, written %q, read again %+v, %v", s, l, l, again, err)
		}
	})
}
