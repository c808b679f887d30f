package users

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const bare = "ssh-ed25519 AAAA viola, at \"home\""

func TestParseKey(t *testing.T) {
	utc := func(y, m, d, h, min, s int) time.Time { return time.Date(y, time.Month(m), d, h, min, s, 0, time.UTC) }
	for line, want := range map[string]Key{
		bare:                                  {Bare: bare},
		"  " + bare + " ":                     {Bare: bare},
		"restrict " + bare:                    {Bare: bare, NoPty: true},
		"no-pty   " + bare:                    {Bare: bare, NoPty: true},
		"restrict,pty " + bare:                {Bare: bare},
		"pty,restrict " + bare:                {Bare: bare, NoPty: true},
		"NO-PTY " + bare:                      {Bare: bare, NoPty: true},
		`command="worker info" ` + bare:       {Bare: bare, Forced: true, Command: "worker info"},
		`command="a \"b, c\" \d" ` + bare:     {Bare: bare, Forced: true, Command: `a "b, c" \d`},
		`expiry-time="20271231Z" ` + bare:     {Bare: bare, Expires: utc(2027, 12, 31, 0, 0, 0)},
		`expiry-time="202712312359Z" ` + bare: {Bare: bare, Expires: utc(2027, 12, 31, 23, 59, 0)},
		`expiry-time="20271231235958Z",no-port-forwarding,no-X11-forwarding,no-agent-forwarding,no-user-rc ` + bare: {
			Bare: bare, Expires: utc(2027, 12, 31, 23, 59, 58),
		},
		`expiry-time="20271231" ` + bare: {Bare: bare, Expires: time.Date(2027, 12, 31, 0, 0, 0, 0, time.Local)},
	} {
		got, err := ParseKey(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Sources{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, test := range []struct{ options, want string }{
		{"frobnicate", `unknown option "frobnicate"`},
		{"verify-required", "option verify-required is refused: a PIN or fingerprint"},
		{"no-touch-required", "touch is always required"},
		{"cert-authority", "[ssh_ca]"},
		{"restrict,port-forwarding", "there is no port forwarding here"},
		{`environment="A=b"`, "keys set no environment"},
		{`permitopen="a:1"`, "no port forwarding"},
		{"restrict,", "an option is empty"},
		{",restrict", "an option is empty"},
		{"restrict,,pty", "an option is empty"},
		{`restrict="x"`, "takes no value"},
		{"command", `a value is missing: command="…"`},
		{`command=" "`, "a value is missing"},
		{"command=status", "must be in quotes"},
		{`command="status`, "a comma or a blank must follow"},
		{`command="status"x`, "a comma or a blank must follow"},
		{`command="a",command="b"`, "is given twice"},
		{`from="10.0.0.1",From="10.0.0.2"`, "is given twice"},
		{`expiry-time="20271231",expiry-time="20281231"`, "is given twice"},
		{`expiry-time="2027-12-31"`, "is not a time: write YYYYMMDD"},
		{`expiry-time="20271332"`, "is not a time"},
		{`expiry-time="2027123124"`, "is not a time"},
		{`from=""`, "a value is missing"},
		{`from="admin.example.com"`, "names of hosts are not looked up"},
		{`from="10.0.0.0/33"`, "is neither an address nor a network"},
		{`from="10.0.0.1/8"`, "has bits beyond its mask: write 10.0.0.0/8"},
		{`from="::ffff:10.0.0.0/104"`, "write it as IPv4"},
		{`from="fe80::1%eth0"`, "is neither an address"},
		{`from="10.0.0.1,,10.0.0.2"`, "an address is empty"},
		{`from="!10.0.0.1"`, "only exceptions (!), so no address would match: add *"},
		{"restrict not-a-key", "not a public key"},
	} {
		_, err := ParseKey(test.options + " " + bare)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.options, err, test.want)
		}
	}
	for _, line := range []string{"", " ", "restrict", `command="x"`, "restrict ", `from="`, `"`, "=", "AAAA"} {
		if k, err := ParseKey(line); err == nil {
			t.Errorf("%q: accepted: %+v", line, k)
		}
	}
}

func TestSources(t *testing.T) {
	for _, test := range []struct{ list, in, out string }{
		{"10.0.0.7", "10.0.0.7 ::ffff:10.0.0.7", "10.0.0.8 ::1 ::ffff:10.0.0.8"},
		{"::ffff:10.0.0.7", "10.0.0.7", "10.0.0.8"},
		{"10.0.0.0/8, 2001:db8::/32", "10.255.0.1 2001:db8::1 2001:db8::1%eth0", "11.0.0.1 2001:db9::1"},
		{"10.0.0.0/8,!10.0.0.66", "10.0.0.65", "10.0.0.66"},
		{"!10.0.0.66,10.0.0.0/8", "10.0.0.65", "10.0.0.66"},
		{"*,!10.0.0.0/8", "192.0.2.1 ::1", "10.0.0.66 ::ffff:10.0.0.66"},
		{"192.168.1.*", "192.168.1.1 192.168.1.255", "192.168.10.1 192.168.2.1"},
		{"192.168.1.?", "192.168.1.1", "192.168.1.10"},
		{"0.0.0.0/0", "1.2.3.4 ::ffff:1.2.3.4", "::1"},
	} {
		s, err := ParseSources(test.list)
		if err != nil {
			t.Errorf("%s: %v", test.list, err)
			continue
		}
		for want, addrs := range map[bool]string{true: test.in, false: test.out} {
			for addr := range strings.FieldsSeq(addrs) {
				if got := s.Match(netip.MustParseAddr(addr)); got != want {
					t.Errorf("%s in %s: %v", addr, test.list, got)
				}
			}
		}
		if s.Match(netip.Addr{}) {
			t.Errorf("%s: an address that is none is in it", test.list)
		}
	}
}

func TestKeyAdmits(t *testing.T) {
	k, err := ParseKey(`from="10.0.0.0/8",expiry-time="20271231Z" ` + bare)
	if err != nil {
		t.Fatal(err)
	}
	in, out := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.1")
	end := time.Date(2027, 12, 31, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		addr netip.Addr
		now  time.Time
		want bool
	}{
		{in, end.Add(-time.Second), true},
		{in, end, false},
		{out, end.Add(-time.Second), false},
	} {
		if got := k.Admits(test.addr, test.now); got != test.want {
			t.Errorf("%v at %v: %v", test.addr, test.now, got)
		}
	}
}

func TestLimitsAndCAInFile(t *testing.T) {
	const text = `[ssh_ca]
keys = ["ssh-ed25519 CA"]
revoked_serials = [17, 18]
revoked_ids = ["old laptop"]

[user.viola]
role = "operator"
allow = ["worker *", "status"]
deny = ["worker stop"]
`
	f, err := Parse("users.toml", text, anyKey)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := f.Lookup("viola")
	want := User{Name: "viola", Role: "operator", Allow: []string{"worker *", "status"}, Deny: []string{"worker stop"}}
	if diff := cmp.Diff(want, u, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ca := f.CA()
	if len(ca.Keys) != 1 || !ca.Revoked(17, "") || !ca.Revoked(0, "old laptop") || ca.Revoked(19, "laptop") {
		t.Errorf("%+v", ca)
	}
	if err := f.SetPassword("viola", secret2b); err != nil || len(f.CA().Keys) != 1 {
		t.Errorf("an edit beside a CA: %v, %+v", err, f.CA())
	}
}

func TestLimitsAndCARefused(t *testing.T) {
	const user = "[user.viola]\nrole = 'viewer'\n"
	for text, want := range map[string]string{
		user + "allow = []":                            "users.toml:3: user viola: allow: an empty list says nothing",
		user + "deny = 'stop'":                         "users.toml:3: user viola: deny: must be a list of strings",
		user + "deny = ['stop',\n ' ']":                "users.toml:4: user viola: deny 2: empty",
		user + "allow = [\"a\\u0007\"]":                "users.toml:3: user viola: allow 1: control characters",
		user + "keys = ['frob ssh-a']":                 `users.toml:3: user viola: key 1: unknown option "frob"`,
		user + "keys = ['ssh-a',\n 'from=\"x\" ssh-']": "users.toml:4: user viola: key 2: option from",
		"[ssh_ca]":                                            "users.toml:1: ssh_ca: no keys",
		"[ssh_ca]\nkeys = ['no']":                             "users.toml:2: ssh_ca: key 1:",
		"[ssh_ca]\nkeys = ['restrict ssh-a']":                 "users.toml:2: ssh_ca: key 1: the key of a CA has no options",
		"[ssh_ca]\nkeys = ['ssh-a']\nrevoked_serials = [0]":   "users.toml:3: ssh_ca: revoked_serials: 0 is the serial of every",
		"[ssh_ca]\nkeys = ['ssh-a']\nrevoked_serials = ['1']": "users.toml:3: ssh_ca: revoked_serials: 1 is not a serial number",
		"[ssh_ca]\nkeys = ['ssh-a']\nrevoked_ids = ['']":      "users.toml:3: ssh_ca: revoked id 1: empty",
		"[ssh_ca]\nkeys = ['ssh-a']\nrevoked = [1]":           `users.toml:3: ssh_ca: unknown field "revoked"`,
		"ssh_ca = 3": "users.toml:1: ssh_ca: must be a table",
	} {
		if f, err := Parse("users.toml", text, anyKey); err == nil {
			t.Errorf("%q: accepted: %v", text, f.Users())
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\ngot  %s\nwant %s", text, err, want)
		}
	}
}

// Whatever a line is, it is understood in one way only: written anew from what
// was understood, it says the same.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{
		bare, `from="10.0.0.0/8,!10.0.0.1",command="a \"b\"",restrict,pty,expiry-time="20271231Z" ` + bare,
		`command="` + "\t" + `x\\" ssh-a`, `from="*"` + "\tssh-a", "=\"\",=\"\" ssh-", `a="\"" "`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		k, err := ParseKey(line)
		if err != nil {
			return
		}
		options := []string{"pty"}
		if k.NoPty {
			options = []string{"no-pty"}
		}
		if k.Forced {
			options = append(options, `command="`+strings.ReplaceAll(k.Command, `"`, `\"`)+`"`)
		}
		again, err := ParseKey(strings.Join(options, ",") + " " + k.Bare)
		if err != nil || !again.SameRights(k) || again.Bare != k.Bare {
			t.Errorf("%q is %+v, and written anew %+v, %v", line, k, again, err)
		}
		if !strings.HasSuffix(strings.TrimRight(line, " \t"), k.Bare) {
			t.Errorf("%q has the key %q", line, k.Bare)
		}
	})
}
