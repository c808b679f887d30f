package adminport

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

// B5: a hundred logins at once make the server compute hashes of 19 MiB each. As
// many as there are tokens are computed, whoever else waits; one address has one.
func TestB5_hash_bomb(t *testing.T) {
	f := start(t, Config{LoginTimeout: within})
	if n := cap(f.srv.gate.hashing); n > 2 {
		t.Errorf("%d hashes at a time", n)
	}
	for range cap(f.srv.gate.hashing) {
		f.srv.gate.hashing <- struct{}{}
	}
	const bombs = 8
	done := make(chan error, bombs)
	for range bombs {
		go func() { done <- f.try(f.password("admin", "secret")) }()
	}
	src := func() *source { return f.srv.gate.limits.sources[sourceOf(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})] }
	eventually(t, "a login that waits for its turn", func() bool {
		f.srv.gate.limits.mu.Lock()
		defer f.srv.gate.limits.mu.Unlock()
		return src() != nil && len(src().hash) == 1 && len(f.srv.gate.limits.crowd[src()]) == bombs
	})
	if n := len(f.audit.events(audit.EventLogin)); n != 0 {
		t.Errorf("%d logins although no hash may be computed", n)
	}
	for range cap(f.srv.gate.hashing) {
		<-f.srv.gate.hashing
	}
	for range bombs {
		if err := wait(t, "a login", done); err != nil {
			t.Error(err)
		}
	}
}

// B6: who exists is found out by the answer or by the time that it takes. A hash
// is computed for everybody: for a user with a password, for one who only has
// keys, and for one who is invented; the text is the same.
func TestB6_user_enumeration(t *testing.T) {
	f := start(t, Config{LoginTimeout: within})
	f.users.set(users.User{Name: "keys", Role: "viewer", Keys: []string{authorizedKey(f.viola)}})
	texts := map[string]bool{}
	for _, name := range []string{"admin", "keys", "nobody"} {
		for range cap(f.srv.gate.hashing) {
			f.srv.gate.hashing <- struct{}{}
		}
		done := make(chan error, 1)
		go func() { done <- f.try(f.password(name, "wrong")) }()
		source := sourceOf(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		eventually(t, name+" waits for a hash", func() bool {
			f.srv.gate.limits.mu.Lock()
			defer f.srv.gate.limits.mu.Unlock()
			src := f.srv.gate.limits.sources[source]
			return src != nil && len(src.hash) == 1
		})
		for range cap(f.srv.gate.hashing) {
			<-f.srv.gate.hashing
		}
		err := wait(t, "the refusal", done)
		if err == nil {
			t.Fatalf("%s logged in", name)
		}
		texts[strings.ReplaceAll(err.Error(), name, "NAME")] = true
		f.srv.gate.limits.forgive(source)
	}
	if len(texts) != 1 {
		t.Errorf("the answers differ: %v", texts)
	}
}

// hashed are users with hashes of several kinds.
type hashed struct{ *fakeUsers }

func (h hashed) Dummies() []string {
	var list []string
	for _, u := range h.m {
		if u.Password != "" {
			list = append(list, users.Dummy(u.Password))
		}
	}
	return list
}

// B6: where hashes differ in cost, each login costs one of each kind: a user
// with bcrypt, one with argon2id, one with keys and one that is invented take as
// long as each other.
func TestB6_kinds_of_hash(t *testing.T) {
	const bcrypt10 = "$2y$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
	store := hashed{&fakeUsers{m: map[string]users.User{}}}
	for name, hash := range map[string]string{"argon": cheapHash("a"), "argon2": cheapHash("b"), "bcrypt": bcrypt10, "keys": ""} {
		store.set(users.User{Name: name, Role: "viewer", Password: hash})
	}
	g := &gate{users: store, passwordHash: users.DummyHash()}
	want := ""
	for _, name := range []string{"nobody", "argon", "argon2", "bcrypt", "keys", "admin"} {
		user, _ := g.lookup(name)
		list := g.hashesFor(user.Password)
		if user.Password != "" && !slices.Contains(list, user.Password) {
			t.Errorf("%s: the own hash is not looked at", name)
		}
		for i, hash := range list {
			list[i] = users.Dummy(hash)
		}
		slices.Sort(list)
		got := strings.Join(list, " ")
		if want == "" {
			want = got
		}
		if got != want || len(list) != 3 {
			t.Errorf("%s costs %s, nobody %s", name, got, want)
		}
	}
}

// B7: an agent with many keys uses up the tries before the password is asked
// for, which would keep its owner out.
func TestB7_key_flood(t *testing.T) {
	f := start(t, Config{})
	var keys []gossh.Signer
	for range 12 {
		keys = append(keys, newSigner(t))
	}
	cfg := f.password("admin", "secret")
	cfg.Auth = append([]gossh.AuthMethod{gossh.PublicKeys(keys...)}, cfg.Auth...)
	if err := f.try(cfg); err != nil {
		t.Errorf("twelve keys and then the right password: %v", err)
	}
	if got := f.audit.events(audit.EventRefused); len(got) != 0 {
		t.Errorf("the keys count as refused logins: %+v", got)
	}
}

// A1, A2, A3: weak algorithms in what the server offers (RFC 4253 §7.1 sends the
// lists in clear): NIST curves, SHA-1, CBC, MACs that are not encrypt-then-MAC;
// no strict key exchange against Terrapin; no post-quantum key exchange first.
func TestA1_algorithms(t *testing.T) {
	f := start(t, Config{})
	lists := f.kexInit()
	want := [][]string{
		{"mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "kex-strict-s-v00@openssh.com"},
		{"ssh-ed25519"},
		{"chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr"},
		{"chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr"},
		{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"},
		{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"},
		{"none"},
		{"none"},
	}
	for i, w := range want {
		if !slices.Equal(lists[i], w) {
			t.Errorf("list %d: %q, want %q", i, lists[i], w)
		}
	}
}

// kexInit reads the name lists of the server's SSH_MSG_KEXINIT.
func (f *fixture) kexInit() [][]string {
	f.t.Helper()
	nc := f.tcp()
	if _, err := io.WriteString(nc, "SSH-2.0-test\r\n"); err != nil {
		f.t.Fatal(err)
	}
	if err := nc.SetReadDeadline(time.Now().Add(within)); err != nil {
		f.t.Fatal(err)
	}
	var head []byte // the version line, then length, padding length, type, cookie
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n"); head = append(head, one[0]) {
		if _, err := io.ReadFull(nc, one); err != nil {
			f.t.Fatal(err)
		}
	}
	packet := make([]byte, 4+1+1+16)
	if _, err := io.ReadFull(nc, packet); err != nil || packet[5] != 20 {
		f.t.Fatalf("%v: no KEXINIT: %x", err, packet)
	}
	rest := make([]byte, (int(packet[2])<<8|int(packet[3]))-18)
	if _, err := io.ReadFull(nc, rest); err != nil {
		f.t.Fatal(err)
	}
	var lists [][]string
	for range 8 {
		var list string
		var ok bool
		if list, rest, ok = takeString(rest); !ok {
			f.t.Fatal("a broken KEXINIT")
		}
		lists = append(lists, strings.Split(list, ","))
	}
	return lists
}
