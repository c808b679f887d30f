package norestart

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/sandbox"
	"github.com/norestart/norestart/internal/users"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

// attemptsFile counts failed logins in the state directory.
const attemptsFile = "failed-logins.json"

// spareThreads of the shell worker are for those moments in which no process may
// be started, and somebody wants to see why.
const spareThreads = 10

// serveShell is what the shell worker does: it puts together what the admin
// port needs and serves it.
func (app App) serveShell(ctx context.Context, w *worker.Worker) error {
	proc.SpareThreads(spareThreads)
	host, log, err := app.shellHost(w)
	if err != nil {
		return err
	}
	defer log.Close()
	s, err := shell.New(*app.Shell, host)
	if err != nil {
		return err
	}
	for name, answer := range s.Handlers() {
		w.Handle(name, worker.Handler(answer))
	}
	s.Block(blockedBefore(ctx, w))
	ln, err := w.Listener(shellPool)
	if err != nil {
		return err
	}
	if err := sandbox.NoExec(); err != nil {
		host.Log("this shell worker may start programs: %v", err)
	}
	var keeping sync.WaitGroup
	keep, stop := context.WithCancel(context.WithoutCancel(ctx)) // who is replaced and has sessions keeps it, too
	keeping.Go(func() { certs.KeepHostKey(keep, w.StateDir(), host.Log) })
	defer keeping.Wait()
	defer stop()
	if err := w.Ready(); err != nil {
		return err
	}
	return s.Serve(w.Context(), ln, ctx.Done())
}

// inheritWithin is how long a new shell worker waits for what others hold
// against sources.
const inheritWithin = time.Second

// blockedBefore asks the shell workers before this one. Without an answer the
// port is opened with an empty list: who shut it by silence would have won.
func blockedBefore(ctx context.Context, w *worker.Worker) []commands.BlockedInfo {
	ctx, cancel := context.WithTimeout(ctx, inheritWithin)
	defer cancel()
	var all []commands.BlockedInfo
	ask := control.CallRequest{Pool: shellPool, Handler: commands.HandlerBlocked, Timeout: inheritWithin / 2}
	err := w.Control("").Call(ctx, ask, func(r control.CallReply) error {
		var some []commands.BlockedInfo
		if r.Error == "" && json.Unmarshal(r.Data, &some) == nil {
			all = append(all, some...)
		}
		return nil
	})
	if err != nil && !errors.Is(err, control.ErrUnavailable) {
		fmt.Fprintf(os.Stderr, "blocked sources of the shell worker before: %v\n", err)
	}
	return all
}

func (app App) shellHost(w *worker.Worker) (shell.Host, *audit.Log, error) {
	state := w.StateDir()
	h := shell.Host{Name: w.Cluster(), Version: Version, Control: w.Control, History: filepath.Join(state, users.HistoryDir)}
	key, err := certs.HostKey(state)
	if err != nil {
		return h, nil, err
	}
	h.HostKeys = append(h.HostKeys, key)
	h.Log = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	if h.TLS, err = app.serverTLS(state, hostOf(app.Shell.Addr()), h.Log); err != nil {
		return h, nil, err
	}
	if h.Users, err = users.Open(filepath.Join(state, users.FileName), nil, certs.CheckAuthorizedKey); err != nil {
		return h, nil, err
	}
	log, err := audit.Open(filepath.Join(state, audit.FileName), audit.Options{})
	if err != nil {
		return h, nil, err
	}
	h.Audit = log.Append
	h.AttemptsFile = filepath.Join(state, attemptsFile)
	h.Local = localCalls(w)
	return h, log, nil
}

// serverTLS is the TLS side of the admin port.
func (app App) serverTLS(state, host string, logf func(string, ...any)) (*tls.Config, error) {
	return certs.Server{
		Dir: state, Hosts: append([]string{host}, app.Shell.TLSNames...),
		CertFile: app.Shell.TLSCert, KeyFile: app.Shell.TLSKey, Log: logf,
	}.Config()
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
