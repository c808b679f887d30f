package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Where the attacks come from: each is a source of its own, as the one who logs
// in is (127.0.0.1).
const (
	silentSource   = "127.0.0.66"
	guessingSource = "127.0.0.67"
)

// attack is how many connections say nothing at a time, and how many others
// bring three wrong passwords each.
type attack struct{ silent, guesses int }

// measureAttack lets an operator log in while others keep the admin port busy.
func measureAttack(ctx context.Context, b *bench) (table, error) {
	var t table
	c, err := b.hello(ctx)
	if err != nil {
		return t, err
	}
	a := attack{silent: 1000, guesses: b.less(10_000, 1000)}
	return t, errors.Join(c.underAttack(ctx, &t, a, b.less(40, 10)), c.stop())
}

func (c *cluster) underAttack(ctx context.Context, t *table, a attack, logins int) error {
	args, err := c.sshArgs()
	if err != nil {
		return err
	}
	attackers, cancel := context.WithCancel(ctx)
	var busy sync.WaitGroup
	defer busy.Wait()
	defer cancel()
	ready := make(chan struct{})
	busy.Go(func() { keepSilent(attackers, c.admin, a.silent, ready) })
	<-ready
	guessed := make(chan int, 1)
	busy.Go(func() { guessed <- guess(attackers, c.admin, a.guesses) })
	var took []float64
	for range logins {
		s, err := timed(ctx, "ssh", args...)
		if err != nil {
			return fmt.Errorf("a good login under attack: %w", err)
		}
		took = append(took, s)
	}
	made := <-guessed
	pids, err := c.pids(ctx)
	if err != nil {
		return err
	}
	peak, err := peakMemory(pids["shell/0"])
	if err != nil {
		return err
	}
	worst := slices.Max(took)
	t.add("a good login from a third source, the slowest", "≤ 1 s", seconds(worst), judge(worst <= 1))
	t.info("the same, median", seconds(median(took)))
	t.add("peak memory of the shell worker (VmHWM)", "≤ 160 MiB", fmt.Sprintf("%.1f MiB", float64(peak)/mebibyte), judge(peak <= 160*mebibyte))
	t.note("%d silent connections kept open or asked for again from one address, %d connections with wrong passwords from another; %d logins by the plain client meanwhile", a.silent, made, logins)
	return nil
}

// keepSilent holds connections that say nothing until ctx ends; one that is
// closed is opened again after a moment. Ready is closed when all have been
// tried once.
func keepSilent(ctx context.Context, addr string, count int, ready chan<- struct{}) {
	var all, first sync.WaitGroup
	first.Add(count)
	for range count {
		all.Go(func() {
			tried := sync.OnceFunc(first.Done)
			defer tried()
			for ctx.Err() == nil {
				silence(ctx, addr, tried)
				pause(ctx, time.Second)
			}
		})
	}
	first.Wait()
	close(ready)
	all.Wait()
}

// silence waits until the other side closes.
func silence(ctx context.Context, addr string, tried func()) {
	conn, err := dialFrom(ctx, silentSource, addr)
	tried()
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_, _ = io.Copy(io.Discard, conn) // it ends when either side does
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// guess brings wrong passwords, on sixteen connections at a time, and returns
// how many connections it has made.
func guess(ctx context.Context, addr string, count int) int {
	var all sync.WaitGroup
	turns := make(chan struct{}, count)
	for range count {
		turns <- struct{}{}
	}
	close(turns)
	made := make(chan struct{}, count)
	for range 16 {
		all.Go(func() {
			for range turns {
				if ctx.Err() != nil {
					return
				}
				guessOnce(ctx, addr)
				made <- struct{}{}
			}
		})
	}
	all.Wait()
	return len(made)
}

func guessOnce(ctx context.Context, addr string) {
	conn, err := dialFrom(ctx, guessingSource, addr)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	wrong := func() (string, error) { return "wrong", nil }
	_, _, _, _ = ssh.NewClientConn(conn, addr, &ssh.ClientConfig{ // refused, sooner or later
		User: "admin", Auth: []ssh.AuthMethod{ssh.RetryableAuthMethod(ssh.PasswordCallback(wrong), 3)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // nothing secret is told
	})
}

func dialFrom(ctx context.Context, source, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 10 * time.Second}
	return d.DialContext(ctx, "tcp", addr)
}

// peakMemory is the most that a process has held in memory, in bytes (proc(5),
// status, VmHWM).
func peakMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmHWM of process %d", pid)
}
