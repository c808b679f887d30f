package harness

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// sshConfig is for ssh -F: it knows the host key of one cluster and uses
// nothing of the user that runs the test.
const sshConfig = `Host cluster
	HostName %s
	Port %s
	User admin
	IdentityFile %s
	IdentitiesOnly yes
	BatchMode yes
	StrictHostKeyChecking yes
	HostKeyAlias cluster
	UserKnownHostsFile %s
	GlobalKnownHostsFile /dev/null
	ControlPath none
	ConnectTimeout 30
	LogLevel ERROR
`

// WriteSSHConfig writes a configuration for "ssh -F PATH [USER@]cluster", with
// which the host has to have the key in hostKey, and known_hosts beside it. key is
// the file of the user's key, where %r is the user.
func WriteSSHConfig(path, admin, hostKey, key string) error {
	host, port, err := net.SplitHostPort(admin)
	if err != nil {
		return fmt.Errorf("admin port %q: %w", admin, err)
	}
	public, err := os.ReadFile(hostKey)
	if err != nil {
		return fmt.Errorf("the cluster has an admin port: %w", err)
	}
	known := filepath.Join(filepath.Dir(path), "known_hosts")
	if err := os.WriteFile(known, []byte("cluster "+string(public)), 0o600); err != nil {
		return err
	}
	return os.WriteFile(path, fmt.Appendf(nil, sshConfig, host, port, key, known), 0o600)
}

// Keygen makes a key without a password.
func Keygen(ctx context.Context, path string) error {
	_, err := Output(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
	return err
}

// Control is the cluster whose state is in dir, as norestart ctl asks it.
func Control(dir string) *ipc.Client {
	return &ipc.Client{Dial: func(ctx context.Context) (*net.UnixConn, error) {
		return inherit.DialUnix(ctx, filepath.Join(dir, ipc.CtlSocket))
	}}
}
