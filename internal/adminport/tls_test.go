package adminport

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
)

// testTLS makes a self-signed certificate.
func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// tlsTerm is a person in `openssl s_client`.
type tlsTerm struct {
	t    testing.TB
	conn *tls.Conn
	r    *bufio.Reader
}

func (f *fixture) tls(certs ...tls.Certificate) *tlsTerm {
	f.t.Helper()
	conn := tls.Client(f.tcp(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12, Certificates: certs})
	f.t.Cleanup(func() { conn.Close() })
	return &tlsTerm{t: f.t, conn: conn, r: bufio.NewReader(conn)}
}

func (c *tlsTerm) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// expect wants exactly text next.
func (c *tlsTerm) expect(text string) {
	c.t.Helper()
	buf := make([]byte, len(text))
	n, err := io.ReadFull(c.r, buf)
	if string(buf[:n]) != text {
		c.t.Fatalf("%q, %v, want %q", buf[:n], err, text)
	}
}

// rest reads to the end, which must be a proper one.
func (c *tlsTerm) rest() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Errorf("end of the session: %v", err)
	}
	return string(rest)
}

const tlsGreeting = "hello 2.7: well, 4 of 4 workers ready. help: help or ?\n> "

func TestLineShell(t *testing.T) {
	f := start(t, Config{TLSUser: "viewer"})
	c := f.tls()
	c.expect("Password: ")
	c.send("look\n")
	c.expect(tlsGreeting)
	for _, step := range []struct{ send, expect string }{
		{"foo 1 2\n", "foo\n1\n2\n> "},
		{"foo 1\r\n", "foo\n1\n> "},
		{"\n# comment\n", "> > "},
		{"baz\n", "Give me a number: "},
		{"21\n", "21*2 = 42\n> "},
		{"shut\n", "error: denied: shut needs role admin, you are viewer\n> "},
		{"foo '\n", "error: unclosed quote (') at column 5\n> "},
		{"foo \xff\n", "error: invalid UTF-8 at column 5\n> "},
		{strings.Repeat("x", 100_000) + "\n", "error: line longer than 8 kB\n> "},
		{"boom\n", "error: boom: internal error; the log has the details\n> "},
		{"history\n", "   1  foo 1 2\n   2  foo 1\n   3  baz\n   4  shut\n   5  foo '\n   6  foo \\xff\n   7  boom\n   8  history\n> "},
		{".exit\n", ""},
	} {
		c.send(step.send)
		c.expect(step.expect)
	}
	if rest := c.rest(); rest != "" {
		t.Errorf("after .exit: %q", rest)
	}
}

// What was sent before the end still runs, to its end.
func TestLineShellPiped(t *testing.T) {
	f := start(t, Config{TLSUser: "viewer"})
	c := f.tls()
	c.send("look\nfoo 1\nbaz\n21\nfoo 2")
	if err := c.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	want := "Password: " + tlsGreeting + "foo\n1\n> Give me a number: 21*2 = 42\n> foo\n2\n> "
	if got := c.rest(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLineShellPasswords(t *testing.T) {
	f := start(t, Config{}) // the user is admin
	c := f.tls()
	c.send("guess\n\n" + strings.Repeat("x", 20_000) + "\n")
	if got, want := c.rest(), "Password: Permission denied.\nPassword: Permission denied.\nPassword: "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	c = f.tls()
	c.send("a\nb\nc\nsecret\n")
	if got, want := c.rest(), strings.Repeat("Password: Permission denied.\n", 3); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := f.audit.events(audit.EventLogin); len(got) != 0 {
		t.Errorf("audit: %+v", got)
	}
}

func TestLineShellHangup(t *testing.T) {
	f := start(t, Config{TLSUser: "viewer"})
	c := f.tls()
	c.send("look\nwait\n")
	wait(t, "the command", f.started)
	if err := c.conn.NetConn().Close(); err != nil { // no close_notify, as when openssl is killed
		t.Fatal(err)
	}
	if cause := wait(t, "the cause", f.causes); !errors.Is(cause, commandline.ErrHangup) {
		t.Errorf("cause %v, want a hang-up", cause)
	}
}

func TestLineShellIsEnded(t *testing.T) {
	f := start(t, Config{TLSUser: "viewer"})
	c := f.tls()
	c.send("look\n")
	c.expect("Password: " + tlsGreeting)
	f.users.remove("viewer")
	if got, want := c.rest(), "\n"+errRevoked.Error()+": the user was removed\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestA6_old_TLS(t *testing.T) {
	f := start(t, Config{})
	conn := tls.Client(f.tcp(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err := conn.Handshake(); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	f.forgive()
	c := f.tls()
	c.expect("Password: ")
	state := c.conn.ConnectionState()
	if state.Version != tls.VersionTLS13 {
		t.Errorf("version %x", state.Version)
	}
}

func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\r\nb\n\nc"))
	f.Add(bytes.Repeat([]byte("x"), maxLine+3))
	f.Add(append(bytes.Repeat([]byte("x"), maxLine), "\r\ny\n"...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), maxLine+2)
		var got []string
		for more := true; more; {
			var next line
			next, more = readLine(r)
			switch {
			case errors.Is(next.err, errLongLine):
				got = append(got, "…")
			case next.err == nil:
				got = append(got, next.text)
			}
		}
		var want []string
		for _, text := range strings.SplitAfter(string(in), "\n") {
			if text == "" {
				continue
			}
			text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
			if len(text) > maxLine {
				text = "…"
			}
			want = append(want, text)
		}
		if !slices.Equal(want, got) {
			t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
		}
	})
}

// until reads up to text.
func (c *tlsTerm) until(text string) {
	c.t.Helper()
	var got []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(got), text); got = append(got, one[0]) {
		if _, err := io.ReadFull(c.r, one); err != nil {
			c.t.Fatalf("%q, %v, want %q at the end", got, err, text)
		}
	}
}
