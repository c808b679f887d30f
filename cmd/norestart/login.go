package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/client"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// login holds the flags of exec and connect for a login.
type login struct {
	identities []string
	port       int
	user       string
	knownHosts string
	batch      bool
	timeout    time.Duration
	attempts   int
	delay      time.Duration
}

func (l *login) flags(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&l.identities, "identity", "i", nil, "`file` of a private key; may be repeated")
	flags.IntVarP(&l.port, "port", "p", 0, "`port`, where HOST names none (default "+client.DefaultPort+")")
	flags.StringVarP(&l.user, "login", "l", "", "`user`, where HOST names none (default: your own name)")
	flags.StringVar(&l.knownHosts, "known-hosts", "", "`file` of trusted host keys (default: known_hosts in norestart's configuration)")
	flags.BoolVar(&l.batch, "batch", false, "never ask")
	flags.IntVar(&l.attempts, "attempts", 30, "`how often` to try to connect again; 0: never")
	flags.DurationVar(&l.delay, "delay", 200*time.Millisecond, "`time` before the second attempt, doubled up to 5s")
	flags.SetInterspersed(false) // what follows HOST is the command's
	flags.SortFlags = false
}

func (l *login) check() error {
	if l.attempts < 0 || l.delay < 0 || l.timeout < 0 {
		return commands.Usagef("--attempts, --delay and --timeout must not be negative")
	}
	return nil
}

func (l *login) retry() client.Retry {
	return client.Retry{Attempts: cmp.Or(l.attempts, -1), Delay: l.delay}
}

// target reads HOST and the flags that add to it.
func (l *login) target(text string) (client.Target, error) {
	t, err := client.ParseTarget(text)
	if err == nil && l.port != 0 {
		err = t.SetPort(strconv.Itoa(l.port))
	}
	if err != nil {
		return t, commands.Usagef("%w", err)
	}
	if t.User = cmp.Or(t.User, l.user); t.User == "" {
		t.User, err = client.LocalUser()
	}
	return t, err
}

// ssh returns the settings of a login over ssh.
func (l *login) ssh(std streams, in *client.Input, text string) (*client.SSH, error) {
	t, err := l.target(text)
	if err != nil {
		return nil, err
	}
	known, err := configFile(l.knownHosts, "known_hosts")
	if err != nil {
		return nil, err
	}
	s := &client.SSH{
		Target: t, Identities: l.identities, Agent: os.Getenv("SSH_AUTH_SOCK"), KnownHosts: known, Timeout: l.timeout,
		Warn: func(format string, args ...any) { fmt.Fprintf(std.err, "warning: "+format+"\n", args...) },
	}
	s.Home, _ = os.UserHomeDir() // without a home there are no usual keys
	if !l.batch {
		s.Person = client.NewPerson(in, std.in, std.err)
	}
	return s, nil
}

// configFile returns the named file, or the file of that name in the
// configuration directory of norestart.
func configFile(named, name string) (string, error) {
	if named != "" {
		return named, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "norestart", name), nil
}

// interrupts sends a value for each Ctrl-C until stop is called.
func interrupts() (words <-chan struct{}, stop func()) {
	signals, out, done := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	ended := make(chan struct{})
	signal.Notify(signals, os.Interrupt)
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
			case <-done:
				return
			}
			select {
			case out <- struct{}{}:
			case <-done:
				return
			}
		}
	}()
	return out, func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}

// untilEnd cancels the context at a signal to end, so that the terminal is
// restored first.
func untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
}

// loginFailed explains a failed login.
func loginFailed(err error, t client.Target) error {
	trust, distrusted := errors.AsType[*client.TrustError](err)
	login, refused := errors.AsType[*client.LoginError](err)
	switch {
	case distrusted && trust.Hint != "":
		return hint(err, "%s", trust.Hint)
	case refused && login.Hint != "":
		return hint(err, "%s", login.Hint)
	case refused:
		return hint(err, "name a key with -i, or load it with ssh-add; the server's log says why")
	case errors.Is(err, client.ErrInterrupted):
		return &control.Error{Status: commands.StatusCancelled}
	case strings.Contains(err.Error(), "connection refused"):
		return hint(err, "is it the admin port? Give another with -p")
	}
	return err
}
