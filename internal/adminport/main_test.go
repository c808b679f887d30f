package adminport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/argon2"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// within is how long a test waits for what must happen, also on a machine that
// has much else to do.
const within = time.Minute

// cheapHash makes a hash that costs little, so that tests are fast.
func cheapHash(password string) string {
	enc, salt := base64.RawStdEncoding, []byte("0123456789abcdef")
	key := argon2.IDKey([]byte(password), salt, 1, 8, 1, 32)
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", enc.EncodeToString(salt), enc.EncodeToString(key))
}

func newSigner(t testing.TB) gossh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// fakeUsers is a store that tests change while sessions run.
type fakeUsers struct {
	mu sync.Mutex
	m  map[string]users.User
	ca users.CA
}

func (f *fakeUsers) Lookup(name string) (users.User, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u, ok := f.m[name]
	return u, ok
}

func (f *fakeUsers) set(u users.User) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.m[u.Name] = u
}

func (f *fakeUsers) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.m, name)
}

// fakeControl knows one pool that is well.
type fakeControl struct{ control.Control }

func (fakeControl) Get(context.Context, any) (any, error) {
	return control.Status{
		Name: "hello", Primary: &control.Primary{PID: 1},
		Pools: []control.PoolStatus{
			{Name: "web", Target: 4, Configured: 4, Ready: 4},
			{Name: "shell", BuiltIn: true, Target: 1, Ready: 1},
		},
	}, nil
}

// auditLog keeps records and can be made to fail.
type auditLog struct {
	mu      sync.Mutex
	records []audit.Record
	broken  bool
	hang    chan struct{} // not nil: records of refusals wait until it is closed
}

func (a *auditLog) append(r audit.Record) error {
	if r.Event == audit.EventRefused && a.hanging() != nil {
		<-a.hanging()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		return errors.New("no space left on device")
	}
	a.records = append(a.records, r)
	return nil
}

func (a *auditLog) hanging() chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hang
}

func (a *auditLog) setBroken(broken bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = broken
}

func (a *auditLog) all() []audit.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.records)
}

func (a *auditLog) events(e audit.Event) []audit.Record {
	return slices.DeleteFunc(a.all(), func(r audit.Record) bool { return r.Event != e })
}

// fixture is a server that serves on a free port of loopback.
type fixture struct {
	t        testing.TB
	srv      *Server
	addr     string
	key      gossh.Signer // of the host
	viola    gossh.Signer // an operator's key
	users    *fakeUsers
	audit    *auditLog
	local    chan LocalCall
	draining chan struct{}
	cancel   context.CancelFunc
	served   chan error

	started chan string   // a word for each test command that runs
	causes  chan error    // why "wait" ended
	release chan struct{} // closed: "stuck" ends
	logs    *lockedBuffer
	judge   atomic.Pointer[error] // what is said of clients' certificates
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func hostKey(key gossh.Signer) func() gossh.Signer { return func() gossh.Signer { return key } }

// start serves cfg until the test ends.
func start(t testing.TB, cfg Config) *fixture {
	t.Helper()
	f := &fixture{
		t: t, key: newSigner(t), viola: newSigner(t), audit: &auditLog{},
		users: &fakeUsers{m: map[string]users.User{}}, local: make(chan LocalCall),
		draining: make(chan struct{}), served: make(chan error, 1),
		started: make(chan string, 100), causes: make(chan error, 100),
		release: make(chan struct{}), logs: &lockedBuffer{},
	}
	f.users.set(users.User{Name: "admin", Role: "admin", Password: cheapHash("secret")})
	f.users.set(users.User{Name: "viewer", Role: "viewer", Password: cheapHash("look")})
	f.users.set(users.User{Name: "viola", Role: "operator", Keys: []string{authorizedKey(f.viola) + " viola"}})
	cfg.Commands = append(f.commands(), cfg.Commands...)
	srv, err := New(cfg, Host{
		Name: "hello", Version: "0.1.0", AppVersion: "2.7", HostKey: hostKey(f.key), TLS: f.judging(testTLS(t)),
		Users: f.users, Local: f.nextLocal, Audit: f.audit.append,
		Control: func(string) control.Control { return fakeControl{} },
		Log:     func(format string, args ...any) { fmt.Fprintf(f.logs, format+"\n", args...) },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.srv = srv
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go func() { f.served <- srv.Serve(ctx, ln, f.draining) }()
	t.Cleanup(f.stop)
	return f
}

func authorizedKey(s gossh.Signer) string {
	return strings.TrimSpace(string(gossh.MarshalAuthorizedKey(s.PublicKey())))
}

// stop ends the server and wants it to end well.
func (f *fixture) stop() {
	f.cancel()
	if err, ok := <-f.served; ok && err != nil {
		f.t.Errorf("Serve: %v", err)
	}
}

// commands are what the tests run.
func (f *fixture) commands() []commands.Command {
	return []commands.Command{
		{Name: "foo", Role: commands.Viewer, Run: func(_ context.Context, c *commands.Call) error {
			for _, arg := range c.Args {
				c.Printf("%s\n", arg)
			}
			return nil
		}},
		{Name: "baz", Role: commands.Viewer, Run: f.baz},
		{Name: "fail", Role: commands.Viewer, Run: func(_ context.Context, c *commands.Call) error {
			var status int
			fmt.Sscan(c.Args[1], &status)
			return &commands.Error{Status: status, Message: "as you wish"}
		}},
		{Name: "boom", Role: commands.Viewer, Run: func(context.Context, *commands.Call) error { panic("boom!") }},
		{Name: "shut", Role: commands.Admin, Run: func(_ context.Context, c *commands.Call) error {
			c.Printf("shut\n")
			return nil
		}},
		{Name: "wait", Role: commands.Viewer, Run: func(ctx context.Context, _ *commands.Call) error {
			f.started <- "wait"
			<-ctx.Done()
			f.causes <- context.Cause(ctx)
			return ctx.Err()
		}},
		{Name: "stuck", Role: commands.Viewer, Run: func(context.Context, *commands.Call) error {
			f.started <- "stuck"
			<-f.release
			return nil
		}},
		{Name: "spew", Role: commands.Viewer, Run: func(_ context.Context, c *commands.Call) error {
			f.started <- "spew"
			block := bytes.Repeat([]byte("all work and no play\n"), 1000)
			for {
				if _, err := c.Out.Write(block); err != nil {
					f.causes <- err
					return err
				}
			}
		}},
	}
}

func (f *fixture) baz(_ context.Context, c *commands.Call) error {
	answer, err := c.Ask("Give me a number: ")
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscanf(answer, "%d", &n); err != nil {
		return fmt.Errorf("not a number: %q", answer)
	}
	c.Printf("%d*2 = %d\n", n, 2*n)
	return nil
}

// wait returns what c gives, or fails the test.
func wait[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(within):
		t.Fatalf("%s: not within %s", what, within)
		panic("unreachable")
	}
}

// eventually waits until cond holds. It looks again each time that something
// may have happened.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !cond() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}

// password is a client configuration that trusts the fixture's host key.
func (f *fixture) password(user, password string) *gossh.ClientConfig {
	return &gossh.ClientConfig{
		User: user, Auth: []gossh.AuthMethod{gossh.Password(password)},
		HostKeyCallback: gossh.FixedHostKey(f.key.PublicKey()), Timeout: within,
	}
}

func (f *fixture) dial(cfg *gossh.ClientConfig) *gossh.Client {
	f.t.Helper()
	client, err := gossh.Dial("tcp", f.addr, cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { client.Close() })
	return client
}

// result is what a command gave.
type result struct {
	Out, Err string
	Status   int
}

// session runs one session to its end. setup may ask for a terminal; command
// may be empty for a shell.
func (f *fixture) session(c *gossh.Client, command, stdin string, setup func(*gossh.Session)) result {
	f.t.Helper()
	s, err := c.NewSession()
	if err != nil {
		f.t.Fatal(err)
	}
	defer s.Close()
	var out, errOut lockedBuffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(stdin), &out, &errOut
	if setup != nil {
		setup(s)
	}
	if command == "" {
		err = s.Shell()
	} else {
		err = s.Start(command)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Wait() }()
	return result{Status: exitStatus(f.t, wait(f.t, "session "+command, done)), Out: out.String(), Err: errOut.String()}
}

func exitStatus(t testing.TB, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*gossh.ExitError](err); ok {
		return exit.ExitStatus()
	}
	t.Fatalf("no exit status: %v", err)
	return -1
}
