package primary

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// TestHelloRefused: who cannot prove that the primary started it gets nothing,
// not even a reason.
func TestHelloRefused(t *testing.T) {
	c := start(t, quick("web", 2))
	live, gone := c.last("web/0"), c.last("web/1")
	gone.Exit(1)
	c.await("worker.exited", "web/1")
	tests := map[string]struct {
		from   *actor
		change func(*ipc.Hello)
	}{
		"no secret":           {live, func(h *ipc.Hello) { h.Secret = nil }},
		"a wrong secret":      {live, func(h *ipc.Hello) { h.Secret[0]++ }},
		"another's secret":    {live, func(h *ipc.Hello) { h.Worker = "web/1" }},
		"another generation":  {live, func(h *ipc.Hello) { h.Generation = 2 }},
		"another incarnation": {live, func(h *ipc.Hello) { h.Incarnation = 3 }},
		"an exited one":       {gone, func(*ipc.Hello) {}},
	}
	for name, test := range tests {
		for _, purpose := range []ipc.Purpose{ipc.PurposeControl, ipc.PurposeRequest, ipc.PurposeTake} {
			t.Run(name+", "+string(purpose), func(t *testing.T) {
				h := test.from.hello(purpose)
				h.Secret = append([]byte(nil), h.Secret...)
				test.change(&h)
				conn, _, err := ipc.Open(c.context(), live.dial, h)
				if err == nil {
					conn.Close()
				}
				if !errors.Is(err, control.ErrDenied) || err.Error() != "hello refused" {
					t.Errorf("%v, want refused without a reason", err)
				}
			})
		}
	}
}

// TestHelloFromElsewhere: the right secret in the wrong process.
func TestHelloFromElsewhere(t *testing.T) {
	c := start(t, hasty("web", 1))
	c.mu.Lock()
	c.stranger = 2
	c.mu.Unlock()
	c.act((*actor).deaf)
	j, _ := c.reload(control.ReloadRequest{Timeout: 200 * time.Millisecond}, control.JobFailed)
	if !strings.Contains(j.Error, "not ready within") {
		t.Errorf("error %q", j.Error)
	}
}

func TestFirstMessage(t *testing.T) {
	c := start(t, quick("web", 1))
	tests := map[string]struct {
		kind string
		body any
		want error
	}{
		"not a hello":        {ipc.TypeReady, nil, control.ErrUsage},
		"an older protocol":  {ipc.TypeHello, ipc.Hello{Protocol: ipc.Version - 1}, control.ErrUsage},
		"a newer protocol":   {ipc.TypeHello, ipc.Hello{Protocol: ipc.Version + 1}, control.ErrUsage},
		"a hello too large":  {ipc.TypeHello, ipc.Hello{Token: strings.Repeat("x", ipc.HelloLimit)}, control.ErrInternal},
		"a hello of nothing": {ipc.TypeHello, nil, control.ErrUsage},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			uc, err := c.last("web/0").dial(c.context())
			must(t, err)
			conn := ipc.NewConn(uc)
			defer conn.Close()
			must(t, conn.Send(soon, test.kind, test.body))
			m, err := conn.Receive(soon)
			must(t, err)
			var f control.Error
			must(t, m.Decode(&f))
			if m.Type != ipc.TypeRefused || !errors.Is(error(&f), test.want) {
				t.Errorf("%s %+v, want %v", m.Type, f, test.want)
			}
		})
	}
}

func TestGrants(t *testing.T) {
	plain, reloader, chief := quick("plain", 1), quick("reloader", 1), quick("chief", 1)
	reloader.Grant, chief.Grant = control.GrantReload, control.GrantControl
	c := start(t, plain, reloader, chief)
	ctx := c.context()
	tests := []struct {
		pool, what string
		do         func(*ipc.Client) error
		want       error
	}{
		{"plain", "status", func(k *ipc.Client) error { _, err := control.Get(ctx, k, control.StatusQuery{}); return err }, control.ErrDenied},
		{"plain", "reload itself", func(k *ipc.Client) error { return reloads(ctx, k, "plain") }, control.ErrDenied},
		{"reloader", "status", func(k *ipc.Client) error { _, err := control.Get(ctx, k, control.StatusQuery{}); return err }, nil},
		{"reloader", "reload another", func(k *ipc.Client) error { return reloads(ctx, k, "plain") }, control.ErrDenied},
		{"reloader", "reload all", func(k *ipc.Client) error { return reloads(ctx, k) }, control.ErrDenied},
		{"reloader", "stop", func(k *ipc.Client) error { _, err := k.Do(ctx, control.StopRequest{}, nil); return err }, control.ErrDenied},
		{"chief", "spec", func(k *ipc.Client) error { _, err := control.Get(ctx, k, control.SpecQuery{}); return err }, nil},
	}
	for _, test := range tests {
		if err := test.do(c.last(test.pool + "/0").client("root")); !errors.Is(err, test.want) {
			t.Errorf("%s may %s: %v, want %v", test.pool, test.what, err, test.want)
		}
	}
	owner := func(pool string) string {
		t.Helper()
		j, err := c.last(pool+"/0").client("viola").Do(ctx, control.ReloadRequest{Pools: []string{"reloader"}}, nil)
		must(t, err)
		j, _ = c.follow(j, nil)
		return j.Owner
	}
	if d := cmp.Diff([]string{"worker reloader", "viola"}, []string{owner("reloader"), owner("chief")}); d != "" {
		t.Errorf("owners: only a pool with control may vouch for a user (-want +got):\n%s", d)
	}
}

func reloads(ctx context.Context, k *ipc.Client, pools ...string) error {
	_, err := k.Do(ctx, control.ReloadRequest{Pools: pools}, nil)
	return err
}

// TestCall: one that is silent costs its own answer and no other.
func TestCall(t *testing.T) {
	c := newCluster(t, hasty("web", 3))
	c.act(on("web/1", (*actor).deaf))
	c.run()
	c.await("cluster.ready", "")
	got := map[string]string{}
	err := control.Watch(c.context(), c.ctl, control.CallRequest{Pool: "web", Handler: "name", Timeout: time.Hour}, func(r control.CallReply) error {
		if got[r.Worker] = string(r.Data) + r.Error; len(got) == 2 {
			return errFound
		}
		return nil
	})
	if d := cmp.Diff(map[string]string{"web/0": "web/0", "web/2": "web/2"}, got); err != errFound || d != "" {
		t.Errorf("%v, replies while one is awaited (-want +got):\n%s", err, d)
	}
	must(t, control.Watch(c.context(), c.ctl, control.CallRequest{Pool: "web", Handler: "name", Timeout: 50 * time.Millisecond}, func(r control.CallReply) error {
		got[r.Worker] = r.Error
		return nil
	}))
	if d := cmp.Diff("no answer within 50ms", got["web/1"]); d != "" {
		t.Errorf("the silent one (-want +got):\n%s", d)
	}
	err = control.Watch(c.context(), c.ctl, control.CallRequest{Pool: "wob"}, nil)
	if !errors.Is(err, control.ErrNoPool) {
		t.Errorf("a call to no pool: %v", err)
	}
	ctx, cancel := context.WithCancel(c.context())
	err = control.Watch(ctx, c.ctl, control.CallRequest{Pool: "web", Timeout: time.Hour}, func(control.CallReply) error { cancel(); return nil })
	if err != context.Canceled {
		t.Errorf("a cancelled call: %v", err)
	}
}

// TestTokensAreForOne: a question can be taken once, and only by whom it is for.
func TestTokensAreForOne(t *testing.T) {
	var c calls
	token := c.add(&question{inc: 1})
	if c.claim(token, 2) != nil || c.claim("", 1) != nil {
		t.Error("somebody else took it")
	}
	if c.claim(token, 1) == nil || c.claim(token, 1) != nil {
		t.Error("it could not be taken once and only once")
	}
	c.drop([]string{c.add(&question{inc: 1})})
	if len(c.open) != 0 {
		t.Errorf("%d are still open", len(c.open))
	}
}

// TestAttach: a local caller's conversation goes to the shell worker.
func TestAttach(t *testing.T) {
	shell := hasty("shell", 1)
	shell.BuiltIn = true
	c := newCluster(t, quick("web", 1), shell)
	c.cfg.Spec.Admin = "shell"
	handed := make(chan []string, 1)
	c.act(on("shell/0", func(a *actor) { a.takeSession(handed) }))
	c.run()
	c.await("cluster.ready", "")
	conn := c.attach("foo", "1")
	m, err := conn.Receive(soon)
	must(t, err)
	if m.Type != ipc.TypeAttached {
		t.Errorf("the caller got %s", m.Type)
	}
	got := <-handed
	if len(got) != 3 || !strings.Contains(got[0], "(ctl, uid ") || got[1] != "foo" {
		t.Errorf("the shell got %q", got)
	}
	must(t, conn.Close())
	c.last("shell/0").Exit(1)
	c.await("worker.exited", "shell/0")
}

func TestAttachWithoutShell(t *testing.T) {
	c := start(t, quick("web", 1))
	before := c.descriptors()
	for range 10 {
		conn := c.attach("foo")
		m, err := conn.Receive(soon)
		must(t, err)
		var f control.Error
		must(t, m.Decode(&f))
		if m.Type != ipc.TypeRefused || !errors.Is(error(&f), control.ErrUnavailable) {
			t.Errorf("%s %+v", m.Type, f)
		}
		must(t, conn.Close())
	}
	if after := c.descriptors(); after > before+5 { // a conversation may just be ending
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func (c *cluster) attach(args ...string) *ipc.Conn {
	c.t.Helper()
	conn, _, err := ipc.Open(c.context(), c.ctl.Dial, ipc.Hello{Purpose: ipc.PurposeRequest})
	must(c.t, err)
	must(c.t, conn.Send(soon, ipc.TypeAttach, ipc.Attach{Args: args}))
	return conn
}

// takeSession answers the conversation that is handed over.
func (a *actor) takeSession(handed chan<- []string) {
	a.Obey(syscall.SIGTERM)
	if !a.join() {
		return
	}
	a.tell(ipc.TypeReady, nil)
	for {
		m, err := a.conn.Receive(0)
		if err != nil {
			return
		}
		var s ipc.Session
		if files := m.Files(); m.Type == ipc.TypeSession && m.Decode(&s) == nil && len(files) == 1 {
			if nc, err := net.FileConn(os.NewFile(uintptr(files[0]), "session")); err == nil {
				conn := ipc.NewConn(nc.(*net.UnixConn))
				_ = conn.Send(soon, ipc.TypeAttached, nil)
				conn.Close()
			}
			handed <- append([]string{s.User}, s.Args...)
		}
	}
}

// TestQueueThatIsNotSent lets go of the descriptors in it.
func TestQueueThatIsNotSent(t *testing.T) {
	freed := 0
	free := func() error { freed++; return nil }
	uc, err := newCluster(t).socket()
	must(t, err)
	c := newConversation(ipc.NewConn(uc))
	for range 3 {
		if !c.pass(outgoing{free: free}) {
			t.Fatal("it takes no message")
		}
	}
	c.close()
	if c.write(); freed != 3 {
		t.Errorf("%d of 3 were freed", freed)
	}
	if c.pass(outgoing{free: free}) {
		t.Error("it takes messages after its end")
	}
}

// socket is a connection that nobody reads.
func (c *cluster) socket() (*net.UnixConn, error) {
	path := filepath.Join(c.cfg.Run, "s")
	ln, err := inherit.ListenUnix(path, 0o600)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	return inherit.DialUnix(c.context(), path)
}
