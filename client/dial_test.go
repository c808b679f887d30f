package client

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/norestart/norestart/certs"
)

// serve answers each connection by handle until the test ends.
func serve(t *testing.T, handle func(net.Conn)) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return Target{User: "admin", Host: host, Port: port}
}

// untilClosed reads what comes, and says nothing.
func untilClosed(conn net.Conn) {
	for buf := make([]byte, 512); ; {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// TestSilentAgent: an agent that answers nothing costs its keys and a moment.
func TestSilentAgent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if conn, err := ln.Accept(); err == nil {
			untilClosed(conn)
			conn.Close()
		}
	})
	defer wg.Wait()
	defer ln.Close()
	var warned []string
	id := &identities{agent: socket, warn: func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) }}
	defer id.close()
	if keys := id.fromAgent(t.Context()); len(keys) != 0 || len(warned) != 1 || !strings.Contains(warned[0], "i/o timeout") {
		t.Errorf("%d keys, %q", len(keys), warned)
	}
}

// TestSilentServer: a server that answers nothing does not hold us for ever.
func TestSilentServer(t *testing.T) {
	target := serve(t, untilClosed)
	s := &SSH{Target: target, KnownHosts: filepath.Join(t.TempDir(), "known"), Timeout: time.Second}
	if _, err := s.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "no login within 1s") {
		t.Errorf("ssh: %v", err)
	}
	line := &TLS{Target: target, Pins: filepath.Join(t.TempDir(), "pins"), Timeout: time.Second}
	if _, _, err := line.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer within 1s") {
		t.Errorf("TLS: %v", err)
	}
}

// TestServerSaysWhy: a server that says a line in place of a handshake is quoted.
func TestServerSaysWhy(t *testing.T) {
	for _, tt := range []struct {
		says         string
		overSSH, tls string
	}{
		{"too many connections, try again later\r\n", "no login: the server says: too many connections, try again later", "no login: the server says: too many connections, try again later"},
		{"no", "no login: the server says: no", "no login: the server says: no"}, // closed before the end of the line
		{"\x1b[2Jgo away\n", "EOF", "first record does not look like a TLS handshake"},
		{"a\x1b[2Jb\n", `no login: the server says: a\x1b[2Jb`, `no login: the server says: a\x1b[2Jb`},
		{strings.Repeat("x", 1000), "no login: the server says: " + strings.Repeat("x", maxSaid), "no login: the server says: " + strings.Repeat("x", maxSaid)},
		{"SSH-2.0-other\r\n", "EOF", "no login: the server says: SSH-2.0-other"},
		{"", "EOF", "EOF"},
	} {
		target := serve(t, func(conn net.Conn) {
			fmt.Fprint(conn, tt.says)
			_ = conn.(*net.TCPConn).CloseWrite()
			untilClosed(conn)
		})
		_, err := (&SSH{Target: target, KnownHosts: filepath.Join(t.TempDir(), "known")}).Dial(t.Context())
		if err == nil || !strings.HasSuffix(err.Error(), tt.overSSH) {
			t.Errorf("%q over ssh: %v, want %s", tt.says, err, tt.overSSH)
		}
		_, _, err = (&TLS{Target: target, Pins: filepath.Join(t.TempDir(), "pins")}).Dial(t.Context())
		if err == nil || !strings.HasSuffix(err.Error(), tt.tls) {
			t.Errorf("%q over TLS: %v, want %s", tt.says, err, tt.tls)
		}
	}
}

// TestDialIsCancelled: Ctrl-C does not wait for the server.
func TestDialIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	target := serve(t, func(conn net.Conn) {
		cancel(ErrInterrupted)
		untilClosed(conn)
	})
	s := &SSH{Target: target, KnownHosts: filepath.Join(t.TempDir(), "known")}
	if _, err := s.Dial(ctx); !errors.Is(err, ErrInterrupted) {
		t.Errorf("error %v", err)
	}
}

// pair makes a self-signed certificate with its key, in files, too.
func pair(t *testing.T, name string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sheet := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, sheet, sheet, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name+".pem")
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, file
}

// scriptFile makes a file of a script.
func scriptFile(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// session runs a script against a server of the TLS line shell.
func session(t *testing.T, cfg *tls.Config, cert, script string, talk func(*tls.Conn)) (int, string, error) {
	t.Helper()
	target := serve(t, func(conn net.Conn) {
		server := tls.Server(conn, cfg)
		if server.HandshakeContext(t.Context()) == nil {
			talk(server)
		}
	})
	pins := filepath.Join(t.TempDir(), "pins")
	if err := remember(pins, target.Addr()+" "+certs.TLSFingerprint(cfg.Certificates[0].Leaf)); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(scriptFile(t, script))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out bytes.Buffer
	s := &LineSession{
		TLS: &TLS{Target: target, Pins: pins, Cert: cert, Key: cert}, Out: &out,
		Script: NewScript("script", NewInput(in)),
	}
	status, err := s.Run(t.Context())
	return status, out.String(), err
}

// TestRefusedCertificate: in TLS 1.3 the client believes that the handshake
// worked, and reads the alert later.
func TestRefusedCertificate(t *testing.T) {
	server, _ := pair(t, "server")
	_, stranger := pair(t, "stranger")
	cfg := &tls.Config{
		Certificates: []tls.Certificate{server}, NextProtos: []string{protocolName},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13,
	}
	_, _, err := session(t, cfg, stranger, "status\n", func(*tls.Conn) {})
	if !errors.As(err, new(*LoginError)) || !strings.Contains(err.Error(), "refuses the client certificate") {
		t.Errorf("error %v", err)
	}
}

// TestStrangeServer: one that ends in the middle, says nothing that we know, or
// is no admin port.
func TestStrangeServer(t *testing.T) {
	server, _ := pair(t, "server")
	own := &tls.Config{Certificates: []tls.Certificate{server}, NextProtos: []string{protocolName}, MinVersion: tls.VersionTLS13}
	for _, tt := range []struct {
		name, says, script, want string
		cfg                      *tls.Config
	}{
		{"lost in a command", markBegin + "prompt;> " + markClose, "scale web 3\n", `script:1: connection lost; it is not known whether "scale web 3" was done`, own},
		{"wants a password", markBegin + "password;Password: " + markClose, "status\n", "there is no terminal to ask at", own},
		{"an HTTP server", "", "status\n", "not an admin port", &tls.Config{Certificates: own.Certificates, MinVersion: tls.VersionTLS13}},
	} {
		_, _, err := session(t, tt.cfg, "", tt.script, func(conn *tls.Conn) {
			if _, err := conn.Write([]byte(tt.says)); err == nil {
				_, _ = conn.Read(make([]byte, 64)) // one line, and gone
			}
		})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
