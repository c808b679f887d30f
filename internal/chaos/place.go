package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
	"github.com/norestart/norestart/internal/ipc"
)

// diskSize is that of the disk with the state and the program: room for the
// programs of some generations, and soon full.
const diskSize = "192m"

// place is where a cluster lives. A disk of its own holds the program and the
// state; what chaos itself needs is beside it.
type place struct {
	root      string
	mounted   bool
	norestart string
	images    []string // programs that work, each a file of its own
	broken    map[string]string
	clock     *clock
	client    *ipc.Client
	leftOut   []string // what this machine does not allow, for the summary

	web, admin string // addresses, once they are known
}

func (p *place) disk() string       { return filepath.Join(p.root, "disk") }
func (p *place) state() string      { return filepath.Join(p.disk(), "state") }
func (p *place) program() string    { return filepath.Join(p.disk(), "hello") }
func (p *place) accessPath() string { return filepath.Join(p.root, "access") }
func (p *place) console() string    { return filepath.Join(p.root, "console") }
func (p *place) key() string        { return filepath.Join(p.root, "key") }
func (p *place) sshConfig() string  { return filepath.Join(p.root, "ssh_config") }

func newPlace(ctx context.Context, o options) (*place, error) {
	root, err := os.MkdirTemp("", "norestart-chaos-")
	if err != nil {
		return nil, err
	}
	p := &place{root: root}
	p.client = harness.Control(p.state())
	if err := p.furnish(ctx, o); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

func (p *place) furnish(ctx context.Context, o options) (err error) {
	if err := os.Mkdir(p.disk(), 0o700); err != nil {
		return err
	}
	if err := unix.Mount("none", p.disk(), "tmpfs", 0, "mode=700,size="+diskSize); err == nil {
		p.mounted = true
	} else {
		p.leftOut = append(p.leftOut, fmt.Sprintf("left out: a full disk: mount a tmpfs: %v (run as root)", err))
	}
	if err := os.Mkdir(p.state(), 0o700); err != nil {
		return err
	}
	if p.clock, err = newClock(filepath.Join(p.root, "clock")); err != nil {
		return err
	}
	if err := p.build(ctx, o); err != nil {
		return err
	}
	if err := harness.Keygen(ctx, p.key()); err != nil {
		return err
	}
	_, err = harness.Output(ctx, p.norestart, "user", "add", "admin", "--role", "admin", "--no-password", "--key", p.key()+".pub", "--dir", p.state())
	return err
}

// environ marks every process of the cluster, so that one that is left is
// found.
func (p *place) environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.root, "LANG=C", p.mark(), clockVariable + "=" + p.clock.path}
}

func (p *place) mark() string { return "CHAOS_PLACE=" + p.root }

func (p *place) settle(s control.Status) error {
	for _, pool := range s.Pools {
		if pool.Name == webPool && len(pool.Listen) == 1 {
			p.web = strings.TrimPrefix(pool.Listen[0], "tcp://")
		}
	}
	if p.web == "" {
		return fmt.Errorf("the cluster tells no addresses: %+v", s)
	}
	p.admin = s.Admin
	return harness.WriteSSHConfig(p.sshConfig(), s.Admin, filepath.Join(p.state(), "host_key.pub"), p.key())
}

// remove kills what is left of the cluster, and removes everything.
func (p *place) remove() error {
	if left, err := harness.Clear(p.mark()); err != nil {
		return fmt.Errorf("still there: %v: %w", left, err)
	}
	var err error
	if p.clock != nil {
		err = p.clock.close()
	}
	if p.mounted {
		err = errors.Join(err, unix.Unmount(p.disk(), unix.MNT_DETACH))
	}
	return errors.Join(err, os.RemoveAll(p.root))
}

// known are the files that may stay in the state directory
// (docs/operations.md).
var known = []string{
	"lock", "cluster", "generations", "key", "incarnation", "host_key", "host_key.pub",
	"tls.key", "tls.crt", "users.toml", "users.toml.lock", "audit.jsonl", "initial-password", "shell",
}

func (p *place) left() []string {
	var found []string
	left, err := harness.Tagged(p.mark())
	if err != nil {
		found = append(found, err.Error())
	}
	for _, process := range left {
		found = append(found, "process "+process.String())
	}
	for _, address := range []string{p.web, p.admin} {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			found = append(found, "somebody listens on "+address)
			_ = conn.Close() // it was for that only
		}
	}
	return append(found, p.strangers()...)
}

func (p *place) strangers() []string {
	entries, err := os.ReadDir(p.state())
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			found = append(found, "file "+e.Name())
		}
	}
	return found
}

func (p *place) consoleEnd() string {
	text, err := os.ReadFile(p.console())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-8192):])
}
