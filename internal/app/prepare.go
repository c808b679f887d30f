package app

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
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/builtin"
	"github.com/norestart/norestart/internal/commandline"
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

// prepareBy lets a process of its own check and make what the admin port needs,
// before anything is started: the primary itself parses no file of users and
// makes no keys. It is called again when a shell worker, which makes none either,
// misses something.
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

func (app App) prepare() error {
	state, admin := os.Getenv(stateVariable), os.Getenv(adminVariable)
	if os.Getenv(againVariable) != "" {
		_, err := app.makeShellFiles(state, admin)
		return err
	}
	if _, err := commandline.NewRegistry(builtin.Commands(control.Version), append(app.Shell.Commands, app.Agent.commands(nil)...)...); err != nil {
		return fmt.Errorf("commands: %w", err)
	}
	if h := app.Shell.PasswordHash; h != "" {
		if err := users.CheckHash(h); err != nil {
			return fmt.Errorf("password hash of the user admin: %w", err)
		}
	}
	shown, err := app.makeShellFiles(state, admin)
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

// fingerprints are shown to clients.
type fingerprints struct{ ssh, tls string }

// makeShellFiles makes what the shell worker needs and may not make itself: its
// keys, its certificate, and its part of the state directory.
func (app App) makeShellFiles(state, admin string) (shown fingerprints, err error) {
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
	return shown, makeDirectory(filepath.Join(state, shellDir), as)
}

// wayIn prints at every start how to log in, and how to replace a lost password.
func (app App) wayIn(f *users.File, state, admin string, out io.Writer) error {
	name := FirstAdmin(f)
	anew := fmt.Sprintf("norestart user passwd --dir %s %s", state, name)
	if len(f.Users()) == 0 {
		anew = "shell.Config.PasswordHash of the program"
	}
	_, err := fmt.Fprintf(out, "%[1]s: log in with  %[2]s\n%[1]s: a new password is set with  %[3]s\n", app.Name, SSHLine(name, admin), anew)
	return err
}

// FirstAdmin is the name of the first user who may do everything.
func FirstAdmin(f *users.File) string {
	for _, u := range f.Users() {
		if u.Role == "admin" {
			return u.Name
		}
	}
	return "admin"
}

// SSHLine is how to log in at the address HOST:PORT.
func SSHLine(user, admin string) string {
	_, port, _ := net.SplitHostPort(admin) // the admin port listens there
	return fmt.Sprintf("ssh -p %s %s@%s", port, user, hostOf(admin))
}

// firstUser makes the user admin, with a generated password, at the first start
// without a user who could log in.
func (app App) firstUser(state, admin string, out io.Writer) error {
	path := filepath.Join(state, users.FileName)
	f, err := users.Read(path, certs.CheckAuthorizedKey)
	if err != nil {
		return err
	}
	if len(f.Users()) > 0 || app.Shell.PasswordHash != "" {
		return app.wayIn(f, state, admin, out)
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
	format, where := "%[1]s: first start: log in with  %[2]s\n%[1]s: password, shown only now: %[3]s\n", password
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		format, where = "%[1]s: log in with  %[2]s\n%[1]s: first start: the password of admin is in %[3]s\n", filepath.Join(state, initialPasswordFile)
		if err := durable.WriteFile(where, []byte(password+"\n"), 0o600); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, format, app.Name, SSHLine("admin", admin), where)
	return err
}
