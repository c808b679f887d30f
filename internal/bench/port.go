package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// port is an ssh server as its clients know it.
type port struct {
	name    string
	addr    string // HOST:PORT
	user    string
	host    ssh.PublicKey
	command string // that prints something, the cheapest there is
	pid     int    // of the server
	stop    func() error
}

// helloPort is our admin port, as examples/hello has it by default.
func (b *bench) helloPort(ctx context.Context) (port, error) {
	c, err := b.hello(ctx)
	if err != nil {
		return port{}, err
	}
	return b.ourPort(ctx, c)
}

// ourPort is the admin port of a cluster.
func (b *bench) ourPort(ctx context.Context, c *cluster) (port, error) {
	pids, err := c.pids(ctx)
	if err != nil {
		return port{}, errors.Join(err, c.stop())
	}
	host, err := publicKey(filepath.Join(c.dir, "host_key.pub"))
	if err != nil {
		return port{}, errors.Join(err, c.stop())
	}
	return port{name: "ours", addr: c.admin, user: "admin", host: host, command: "whoami", pid: pids["shell/0"], stop: c.stop}, nil
}

// emptyPort is the server of [runSSH].
func (b *bench) emptyPort(ctx context.Context) (port, error) {
	p, err := start(exec.Command(b.self, roleSSH, "-key", b.key+".pub"))
	if err != nil {
		return port{}, err
	}
	line, err := p.line(ctx, "ssh-ed25519")
	if err != nil {
		return port{}, errors.Join(err, p.stop())
	}
	number, known, _ := strings.Cut(line, " ")
	_, _, host, _, _, err := ssh.ParseKnownHosts([]byte(known))
	if err != nil {
		return port{}, errors.Join(err, p.stop())
	}
	return port{name: "empty Go server", addr: "127.0.0.1:" + number, user: "admin", host: host, command: "line", pid: p.pid(), stop: p.stop}, nil
}

// opensshConf has no limit that the clients of a section could reach. The shells
// that it starts find no files of the user, who may do much in them.
const opensshConf = `ListenAddress %[2]s
HostKey %[1]s/host
AuthorizedKeysFile %[3]s.pub
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin yes
PrintMotd no
PrintLastLog no
LogLevel ERROR
MaxStartups 1000
MaxSessions 1000
SetEnv HOME=%[1]s
`

// privsepDir must be there for an sshd of root's (sshd(8), FILES). Debian's
// service makes it.
const privsepDir = "/run/sshd"

// opensshPort is OpenSSH's sshd. The error wraps [exec.ErrNotFound] where it is
// not installed.
func (b *bench) opensshPort(ctx context.Context) (port, error) {
	const path = "/usr/sbin/sshd"
	if _, err := os.Stat(path); err != nil {
		return port{}, fmt.Errorf("%s: %w", path, exec.ErrNotFound)
	}
	who, err := user.Current()
	if err != nil {
		return port{}, err
	}
	dir, addr, err := b.foreignDir("openssh")
	if err != nil {
		return port{}, err
	}
	conf, err := write(dir, "conf", fmt.Sprintf(opensshConf, dir, addr, b.key))
	if err != nil {
		return port{}, err
	}
	if _, err := output(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "host")); err != nil {
		return port{}, err
	}
	host, err := publicKey(filepath.Join(dir, "host.pub"))
	if err != nil {
		return port{}, err
	}
	remove, err := makePrivsepDir()
	if err != nil {
		return port{}, err
	}
	p, err := start(exec.Command(path, "-D", "-e", "-f", conf))
	if err != nil {
		return port{}, errors.Join(err, remove())
	}
	stop := func() error { return errors.Join(p.stop(), remove()) }
	if err := accepts(ctx, addr); err != nil {
		return port{}, errors.Join(err, stop())
	}
	return port{name: "sshd", addr: addr, user: who.Username, host: host, command: "echo one line", pid: p.pid(), stop: stop}, nil
}

// makePrivsepDir returns how to take it away again, if it was not there.
func makePrivsepDir() (remove func() error, err error) {
	none := func() error { return nil }
	switch err := os.Mkdir(privsepDir, 0o755); {
	case err == nil:
		return func() error { return os.Remove(privsepDir) }, nil
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.EACCES): // only root's needs it
		return none, nil
	default:
		return none, err
	}
}

func publicKey(path string) (ssh.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	return key, err
}

// ports starts those servers, and leaves out with a note what is not installed.
func (t *table) ports(ctx context.Context, starts ...func(context.Context) (port, error)) ([]port, error) {
	var all []port
	for _, start := range starts {
		p, err := start(ctx)
		if errors.Is(err, exec.ErrNotFound) {
			t.note("left out: %v", err)
			continue
		}
		if err != nil {
			return nil, errors.Join(err, stopPorts(all))
		}
		all = append(all, p)
	}
	return all, nil
}

func stopPorts(all []port) error {
	var err error
	for _, p := range all {
		err = errors.Join(err, p.stop())
	}
	return err
}
