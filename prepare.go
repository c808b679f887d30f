package norestart

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/users"
	"github.com/norestart/norestart/primary"
)

const (
	initialPasswordFile = "initial-password"
	adminVariable       = "NORESTART_ADMIN"
	stateVariable       = "NORESTART_STATE"
	againVariable       = "NORESTART_AGAIN" // set: while the cluster runs
	// prepareTimeout is generous: a first start makes keys and hashes a password.
	prepareTimeout = 30 * time.Second
)

// prepareBy lets a process of its own check and make what the admin port
// needs, before anything is started: the primary itself parses no file of
// users and makes no keys. It is done again when the shell worker misses
// something, which makes none either.
func prepareBy(starter primary.Starter, cfg primary.Config, admin string, again bool) error {
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(null)
	env := append(slices.Clone(cfg.Env), primary.RoleVariable+"="+rolePrepare, adminVariable+"="+admin, stateVariable+"="+cfg.State)
	if again {
		env = append(env, againVariable+"=1")
	}
	p, err := starter.Start(proc.Command{Path: "/proc/self/exe", Argv: cfg.Argv, Dir: cfg.Dir, Files: []int{null, 2, 2}, Env: env})
	if err != nil {
		return fmt.Errorf("prepare the admin port: %w", err)
	}
	select {
	case e := <-p.Wait():
		if e.Code != 0 {
			return errors.New("the admin port is not ready, see above")
		}
		return nil
	case <-time.After(prepareTimeout):
		err := p.Signal(unix.SIGKILL)
		<-p.Wait()
		return errors.Join(fmt.Errorf("prepare the admin port: not done within %v", prepareTimeout), err)
	}
}

// prepare is the role of that process.
func (app App) prepare() error {
	state, admin := os.Getenv(stateVariable), os.Getenv(adminVariable)
	if os.Getenv(againVariable) != "" {
		_, err := app.makeOwn(state, admin)
		return err
	}
	if _, err := commands.NewRegistry(commands.Builtin(Version), app.Shell.Commands...); err != nil {
		return fmt.Errorf("commands: %w", err)
	}
	if h := app.Shell.PasswordHash; h != "" {
		if err := users.CheckHash(h); err != nil {
			return fmt.Errorf("password hash of the user admin: %w", err)
		}
	}
	shown, err := app.makeOwn(state, admin)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s: host key %s\n", app.Name, shown.ssh)
	fmt.Fprintf(os.Stderr, "%s: TLS key %s\n", app.Name, shown.tls)
	if err := app.firstUser(state, admin, os.Stderr); err != nil {
		return err
	}
	return app.warnOfExposure(state, admin, os.Stderr)
}

// fingerprints are what clients are shown.
type fingerprints struct{ ssh, tls string }

// makeOwn makes what the shell worker needs and may not make itself: its keys,
// its certificate, and its part of the state directory.
func (app App) makeOwn(state, admin string) (shown fingerprints, err error) {
	key, err := certs.HostKey(state)
	if err != nil {
		return shown, err
	}
	config, err := app.serverTLS(state, hostOf(admin)).Config()
	if err != nil {
		return shown, err
	}
	leaf, err := certs.Leaf(config)
	if err != nil {
		return shown, err
	}
	as, err := identityOf(app.Shell.User, app.Shell.Group)
	if err != nil {
		return shown, fmt.Errorf("shell: %w", err)
	}
	shown = fingerprints{certs.Fingerprint(key.PublicKey()), certs.TLSFingerprint(leaf)}
	return shown, ownDirectory(filepath.Join(state, ownDir), as)
}

// firstUser makes the user admin with a password of its own at the very first
// start, when nobody could log in.
func (app App) firstUser(state, admin string, out io.Writer) error {
	path := filepath.Join(state, users.FileName)
	f, err := users.Read(path, certs.CheckAuthorizedKey)
	if err != nil {
		return err
	}
	if len(f.Users()) > 0 || app.Shell.PasswordHash != "" {
		return nil
	}
	password := rand.Text()
	hash, err := users.Hash(password)
	if err != nil {
		return err
	}
	err = users.Edit(path, certs.CheckAuthorizedKey, func(f *users.File) error {
		return f.Add(users.User{Name: "admin", Role: "admin", Password: hash})
	})
	if err != nil {
		return err
	}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		host, port, err := net.SplitHostPort(admin)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s: first start: log in with  ssh -p %s admin@%s\n%s: password, shown only now: %s\n", app.Name, port, host, app.Name, password)
		return err
	}
	file := filepath.Join(state, initialPasswordFile)
	if err := durable.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: first start: the password of admin is in %s\n", app.Name, file)
	return err
}
