package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/harness"
)

const webPool = "web"

const startWorkers = 3

// lostAfter is when a stopped worker is replaced. A machine under load stops
// innocent ones for a while, too.
const lostAfter = 6 * time.Second

// keeper plays systemd: it starts the primary, and the next one when that was
// killed. A primary that ends by itself is wrong.
type keeper struct {
	*place
	*journal

	mu      sync.Mutex // a leaf; held over fork
	process *os.Process
	killed  bool          // by us
	pause   time.Duration // before the next
	retired bool          // there shall be no next
	ended   chan struct{} // closed when there is none any more
}

func newKeeper(p *place, j *journal) *keeper {
	return &keeper{place: p, journal: j, ended: make(chan struct{})}
}

// start starts a primary, and a goroutine that waits for it. It ends with the
// last primary, which end of the run waits for.
func (k *keeper) start() error {
	cmd, err := k.spawn()
	if err != nil {
		return err
	}
	go k.keep(cmd)
	return nil
}

func (k *keeper) spawn() (*exec.Cmd, error) {
	web, admin := "127.0.0.1:0", "127.0.0.1:0"
	if k.web != "" {
		web, admin = k.web, k.admin
	}
	console, err := os.OpenFile(k.console(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(k.program(), "--dir", k.state(), "--listen", web, "--admin", admin,
		"--workers", fmt.Sprint(startWorkers), "--lost-after", lostAfter.String(), "--access-log", k.accessPath())
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = k.environ(), k.disk(), console, console
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := errors.Join(cmd.Start(), console.Close()); err != nil {
		return nil, err
	}
	k.process, k.killed = cmd.Process, false
	return cmd, nil
}

// keep waits for each primary and starts the next.
func (k *keeper) keep(cmd *exec.Cmd) {
	defer close(k.ended)
	for cmd != nil {
		_ = cmd.Wait() // its state tells
		k.mu.Lock()
		k.process = nil
		killed, pause, retired := k.killed, k.pause, k.retired
		k.mu.Unlock()
		switch {
		case retired && (killed || cmd.ProcessState.Success()):
			return
		case !killed:
			k.wrong("the primary ended by itself: %v", cmd.ProcessState)
			return
		}
		time.Sleep(pause) // as RestartSec of systemd.service(5)
		k.did("", "the next primary is started")
		var err error
		if cmd, err = k.spawn(); err != nil {
			k.wrong("start the next primary: %v", err)
			return
		}
	}
}

// pid is that of the primary; 0 while there is none.
func (k *keeper) pid() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.process == nil {
		return 0
	}
	return k.process.Pid
}

// kill kills the primary; the next one comes after the pause.
func (k *keeper) kill(pause time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.process == nil || k.killed {
		return false
	}
	k.killed, k.pause = true, pause
	return k.process.Signal(unix.SIGKILL) == nil
}

// absent waits until the primary that was killed has gone; false if the next
// one is there already, or ctx has ended.
func (k *keeper) absent(ctx context.Context) bool {
	for {
		k.mu.Lock()
		absent, killed := k.process == nil, k.killed
		k.mu.Unlock()
		if absent || !killed {
			return absent
		}
		if harness.Pause(ctx, time.Millisecond) != nil {
			return false
		}
	}
}

// retire says that the primary may end now.
func (k *keeper) retire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retired = true
}

// gone waits until there is no primary any more.
func (k *keeper) gone(within time.Duration) bool {
	select {
	case <-k.ended:
		return true
	case <-time.After(within):
		return false
	}
}
