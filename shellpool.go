package norestart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/sandbox"
	"github.com/norestart/norestart/internal/users"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

// spareThreads of the shell worker are for those moments in which no process may
// be started, and somebody wants to see why.
const spareThreads = 10

// serveShell is what the shell worker does: it puts together what the admin
// port needs and serves it.
func (app App) serveShell(ctx context.Context, w *worker.Worker) error {
	proc.SpareThreads(spareThreads)
	host, part, err := app.shellHost(w)
	if err != nil {
		return err
	}
	defer part.close()
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
	if part.writes() {
		keeping.Go(func() { certs.KeepHostKey(keep, w.StateDir(), host.Log) })
	}
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

// shellHost puts together what the process around it provides to the shell, with
// its part of the state directory.
func (app App) shellHost(w *worker.Worker) (shell.Host, part, error) {
	h := shell.Host{Name: w.Cluster(), Version: Version, Control: w.Control, Local: localCalls(w)}
	h.Log = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	part, err := openPart(w)
	if err != nil {
		return h, part, err
	}
	h.Audit = part.audit
	h.History, h.AttemptsFile = filepath.Join(part.own, filepath.Base(users.HistoryDir)), filepath.Join(part.own, attemptsFile)
	h.PenaltiesFile = filepath.Join(part.own, penaltyFile)
	if err := app.shellKeys(&h, part, w); err != nil {
		return h, part, errors.Join(err, part.close())
	}
	return h, part, nil
}

// shellKeys opens the keys, and the users.
func (app App) shellKeys(h *shell.Host, part part, w *worker.Worker) error {
	state, prepare := w.StateDir(), w.Custody().Prepare
	key, err := certs.OpenHostKey(part.files, state, h.Log)
	if errors.Is(err, fs.ErrNotExist) { // somebody wants a new one
		if err = prepare(); err == nil {
			key, err = certs.OpenHostKey(part.files, state, h.Log)
		}
	}
	if err != nil {
		return err
	}
	h.HostKey = key.Signer
	server := app.serverTLS(state, hostOf(app.Shell.Addr()))
	server.Files, server.Prepare, server.Log = part.files, prepare, h.Log
	for _, path := range []*string{&server.CertFile, &server.KeyFile} { // as the primary knows them
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil {
				return err
			}
		}
	}
	if h.TLS, err = server.Config(); err != nil {
		return err
	}
	h.Users, err = users.OpenFrom(part.files, filepath.Join(state, users.FileName), nil, certs.CheckAuthorizedKey)
	return err
}

// serverTLS is the TLS side of the admin port.
func (app App) serverTLS(state, host string) certs.Server {
	return certs.Server{
		Dir: state, Hosts: append([]string{host}, app.Shell.TLSNames...),
		CertFile: app.Shell.TLSCert, KeyFile: app.Shell.TLSKey,
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
