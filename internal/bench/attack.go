package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/harness"
)

// Sources of the attacks, other ones than that of the login (127.0.0.1).
const (
	silentSource   = "127.0.0.66"
	guessingSource = "127.0.0.67"
)

// attack is how many connections say nothing at a time, and how many others
// bring three wrong passwords each.
type attack struct{ silent, guesses int }

func measureAttack(ctx context.Context, b *bench) (table, error) {
	return b.withHello(ctx, func(t *table, c *cluster) error {
		return c.underAttack(ctx, t, attack{silent: 1000, guesses: b.less(10_000, 1000)}, b.less(40, 10))
	})
}

func (c *cluster) underAttack(ctx context.Context, t *table, a attack, logins int) error {
	args, err := c.bench.sshArgs(c.dir, c.admin)
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
	held, err := harness.MemoryOf(pids["shell/0"])
	if err != nil {
		return err
	}
	worst := slices.Max(took)
	t.add("a good login from a third source, the slowest", "≤ 1 s", seconds(worst), judge(worst <= 1))
	t.info("the same, median", seconds(median(took)))
	t.add("peak memory of the shell worker (VmHWM)", "≤ 160 MiB", mib(held.Peak), judge(held.Peak <= 160*mebibyte))
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
				_ = harness.Pause(ctx, time.Second) // ctx is looked at
			}
		})
	}
	first.Wait()
	close(ready)
	all.Wait()
}

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
