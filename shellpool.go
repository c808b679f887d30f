package norestart

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/users"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

// auditFile is the audit log in the state directory.
const auditFile = "audit.jsonl"

// serveShell is what the shell worker does: it puts together what the admin
// port needs and serves it.
func (app App) serveShell(ctx context.Context, w *worker.Worker) error {
	host, audit, err := app.shellHost(w)
	if err != nil {
		return err
	}
	defer audit.Close()
	s, err := shell.New(*app.Shell, host)
	if err != nil {
		return err
	}
	ln, err := w.Listener(shellPool)
	if err != nil {
		return err
	}
	if err := w.Ready(); err != nil {
		return err
	}
	return s.Serve(w.Context(), ln, ctx.Done())
}

func (app App) shellHost(w *worker.Worker) (shell.Host, *os.File, error) {
	state := w.StateDir()
	h := shell.Host{Name: w.Cluster(), Version: Version, Control: w.Control}
	key, err := certs.HostKey(state)
	if err != nil {
		return h, nil, err
	}
	h.HostKeys = append(h.HostKeys, key)
	if h.TLS, err = certs.ServerTLS(state, []string{hostOf(app.Shell.Addr())}); err != nil {
		return h, nil, err
	}
	if h.Users, err = users.Open(filepath.Join(state, users.FileName), nil, certs.CheckAuthorizedKey); err != nil {
		return h, nil, err
	}
	audit, err := os.OpenFile(filepath.Join(state, auditFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return h, nil, err
	}
	h.Audit = auditTo(audit)
	h.Local = localCalls(w)
	h.Log = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	return h, audit, nil
}

// auditTo appends records whole, each by one write(2): several shell processes
// may have the file open.
func auditTo(f *os.File) func(shell.Record) error {
	var mu sync.Mutex
	return func(r shell.Record) error {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		_, err = f.Write(append(line, '\n'))
		return err
	}
}

// localCalls brings the worker's local calls to the shell.
func localCalls(w *worker.Worker) <-chan shell.LocalCall {
	out := make(chan shell.LocalCall)
	go func() { // ends with the worker
		for {
			select {
			case c := <-w.LocalCalls():
				select {
				case out <- localCall{c}:
				case <-w.Context().Done():
					return
				}
			case <-w.Context().Done():
				return
			}
		}
	}()
	return out
}

// localCall tells the shell of a hang-up in its own words.
type localCall struct{ *worker.LocalCall }

func (c localCall) Context() context.Context {
	inner := c.LocalCall.Context()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(inner))
	context.AfterFunc(inner, func() {
		if context.Cause(inner) == worker.ErrHungUp {
			cancel(commands.ErrHangup)
			return
		}
		cancel(context.Cause(inner))
	})
	return ctx
}
