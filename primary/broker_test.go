package primary

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/ipc"
)

// TestBroker: the worker of the admin port gets the files that it may have, in
// the way it may have them, and a worker of another pool gets none.
func TestBroker(t *testing.T) {
	c := newCluster(t, quick("shell", 1), quick("web", 1))
	dir := t.TempDir()
	users, key, own := filepath.Join(dir, "users.toml"), filepath.Join(dir, "ca.key"), filepath.Join(dir, "own")
	must(t, errors.Join(os.WriteFile(users, []byte("users"), 0o600), os.WriteFile(key, []byte("key"), 0o600), os.Mkdir(own, 0o700)))
	var records bytes.Buffer
	c.cfg.Spec.Admin = "shell"
	prepared := make(chan bool, 10)
	c.cfg.Prepare = func(_ string, again bool) error { prepared <- again; return nil }
	c.cfg.Broker = Broker{
		Read: []string{users, filepath.Join(dir, "missing")}, Look: []string{key}, Enter: []string{own},
		Record: func(record []byte) error { _, err := records.Write(record); return err },
	}
	c.run()
	c.await("cluster.ready", "")
	if <-prepared {
		t.Error("the start was no start")
	}
	of := func(worker string) ipc.Broker {
		a := c.last(worker)
		return ipc.Broker{Dial: a.dial, Hello: a.hello("")}
	}
	shell, web := of("shell/0"), of("web/0")

	f, err := shell.Open(users)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(f); string(text) != "users" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("a file that was opened to be read can be written")
	}
	must(t, f.Close())
	if info, err := shell.Stat(key); err != nil || info.Size() != 3 {
		t.Errorf("look at the key: %v, %v", info, err)
	}
	if d, err := shell.Enter(own); err != nil || durable.Owner(d) != os.Geteuid() {
		t.Errorf("its own directory: %v", err)
	} else {
		must(t, d.Close())
	}
	if _, err := shell.Stat(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	must(t, errors.Join(shell.Record("an event"), shell.Prepare()))
	if again := <-prepared; !again || !strings.Contains(records.String(), "an event") {
		t.Errorf("prepared, and recorded %q", records.String())
	}
	for name, err := range map[string]error{
		"the key of the CA, to read": open(shell.Open(key)), "a file that is no directory": open(shell.Enter(users)),
		"another file": open(shell.Open(filepath.Join(dir, "key"))), "the same by another name": open(shell.Open(own + "/../users.toml")),
		"of another pool": open(web.Open(users)), "record of another pool": web.Record("x"), "prepare of another pool": web.Prepare(),
	} {
		if !errors.Is(err, control.ErrDenied) {
			t.Errorf("%s: %v, want denied", name, err)
		}
	}
}

func open(f *os.File, err error) error {
	if err == nil {
		_ = f.Close()
	}
	return err
}

// TestPreparedForAll: what is asked for while it waits is made once for all, so
// that no caller waits behind many.
func TestPreparedForAll(t *testing.T) {
	const callers = 20
	c := newCluster(t, quick("shell", 1))
	c.cfg.Spec.Admin = "shell"
	var times atomic.Int32
	began, goOn := make(chan struct{}, callers+1), make(chan struct{})
	c.cfg.Prepare = func(_ string, again bool) error {
		if again {
			times.Add(1)
			began <- struct{}{}
			<-goOn
		}
		return nil
	}
	c.run()
	c.await("cluster.ready", "")
	a := c.last("shell/0")
	shell := ipc.Broker{Dial: a.dial, Hello: a.hello("")}
	done := make(chan error, callers+1)
	go func() { done <- shell.Prepare() }()
	within(t, began)
	for range callers {
		go func() { done <- shell.Prepare() }()
	}
	close(goOn)
	for range callers + 1 {
		must(t, <-done)
	}
	if n := times.Load(); n > callers/2 {
		t.Errorf("it was made %d times for %d callers", n, callers+1)
	}
}
