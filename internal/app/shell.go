package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/adminport"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/sandbox"
	"github.com/norestart/norestart/internal/sessions"
	"github.com/norestart/norestart/internal/shellworker"
	"github.com/norestart/norestart/internal/users"
	"github.com/norestart/norestart/worker"
)

// spareThreads lets an operator look even when the machine cannot start threads.
const spareThreads = 10

// serveShell puts together what the admin port needs and serves it.
func (app App) serveShell(ctx context.Context, w *worker.Worker) error {
	proc.SpareThreads(spareThreads)
	if text := shellworker.From(ctx).Settings; len(text) > 0 {
		settings := shellSettings{Shell: app.Shell}
		if err := json.Unmarshal(text, &settings); err != nil {
			return fmt.Errorf("settings of the admin port: %w", err)
		}
		app.Shell, app.Agent.Commands = settings.Shell, settings.Commands
	}
	app.Shell.Commands = append(app.Shell.Commands, app.Agent.commands(w)...)
	host, files, err := app.shellHost(w, shellworker.From(ctx))
	if err != nil {
		return err
	}
	defer files.close()
	s, err := adminport.New(*app.Shell, host)
	if err != nil {
		return err
	}
	for name, answer := range s.Handlers() {
		w.Handle(name, worker.Handler(answer))
	}
	ln, err := w.Listener(ShellPool)
	if err != nil {
		return err
	}
	if err := sandbox.NoExec(); err != nil {
		host.Log("this shell worker may start programs: %v", err)
	}
	var keeping sync.WaitGroup
	keep, stop := context.WithCancel(context.WithoutCancel(ctx)) // a replaced worker that has sessions keeps it, too
	if files.writes() {
		keeping.Go(func() { certs.KeepHostKey(keep, w.StateDir(), host.Log) })
	}
	defer keeping.Wait()
	defer stop()
	w.Ready()
	keeping.Go(func() { tellCommands(keep, w, s.Commands()) })
	return s.Serve(w.Context(), ln, ctx.Done())
}

// tellCommands tells the earlier shell workers which commands there are now:
// their sessions do not know new ones.
func tellCommands(ctx context.Context, w *worker.Worker, digest string) {
	ctx, cancel := context.WithTimeout(ctx, control.DefaultCallTimeout)
	defer cancel()
	_ = control.Watch(ctx, w.Control(""), control.CallRequest{Pool: ShellPool, Handler: sessions.HandlerCommands, Args: []string{digest}}, func(control.CallReply) error { return nil }) // without it a user finds out at the first new command
}

// shellHost puts together what the process gives the shell, with its part of the
// state directory.
func (app App) shellHost(w *worker.Worker, access shellworker.Access) (adminport.Host, shellFiles, error) {
	h := adminport.Host{Name: w.Cluster(), Version: control.Version, AppVersion: app.Version, Control: w.Control}
	h.Local = func(stop context.Context) (adminport.LocalCall, bool) { return localCall(stop, access.Calls) }
	h.Log = func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	files, err := openShellFiles(w.StateDir(), access.Files)
	if err != nil {
		return h, files, err
	}
	h.Audit = files.audit
	if files.writes() {
		h.ReadAudit = audit.Reader(w.StateDir())
	}
	h.History, h.AttemptsFile = filepath.Join(files.dir, filepath.Base(users.HistoryDir)), filepath.Join(files.dir, attemptsFile)
	h.PenaltiesFile, h.AddressesFile = filepath.Join(files.dir, penaltyFile), filepath.Join(files.dir, addressFile)
	if err := app.shellKeys(&h, files, w.StateDir(), access.Files.Prepare); err != nil {
		return h, files, errors.Join(err, files.close())
	}
	return h, files, nil
}

func (app App) shellKeys(h *adminport.Host, files shellFiles, state string, prepare func() error) error {
	key, err := certs.OpenHostKey(files.files, state, h.Log)
	if errors.Is(err, fs.ErrNotExist) { // removed, so that a new one is made
		if err = prepare(); err == nil {
			key, err = certs.OpenHostKey(files.files, state, h.Log)
		}
	}
	if err != nil {
		return err
	}
	h.HostKey = key.Signer
	server := app.serverTLS(state, hostOf(adminAddr(app.Shell)))
	server.Files, server.Prepare, server.Log = files.files, prepare, h.Log
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
	h.Users, err = users.Open(files.files, filepath.Join(state, users.FileName), certs.CheckAuthorizedKey)
	return err
}

func (app App) serverTLS(state, host string) certs.Server {
	return certs.Server{
		Dir: state, Hosts: append([]string{host}, app.Shell.TLSNames...),
		CertFile: app.Shell.TLSCert, KeyFile: app.Shell.TLSKey,
	}
}

func localCall(stop context.Context, calls <-chan *shellworker.Call) (adminport.LocalCall, bool) {
	select {
	case c := <-calls:
		return c, true
	case <-stop.Done():
		return nil, false
	}
}
