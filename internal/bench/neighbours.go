package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// measureNeighbours reloads norestart and the programs that people use today,
// one after the other, under the same load. Those that are not installed are
// left out and named; bench/reload.sh installs them.
func measureNeighbours(ctx context.Context, b *bench) (table, error) {
	var t table
	for _, start := range []func(context.Context, *bench) (neighbour, error){startHello, startNginx, startHAProxy, startPM2} {
		n, err := start(ctx, b)
		if errors.Is(err, exec.ErrNotFound) {
			t.note("left out: %v", err)
			continue
		}
		if err != nil {
			return t, err
		}
		err = n.measure(ctx, b, &t)
		if stopErr := n.stop(); err == nil {
			err = stopErr
		}
		if err != nil {
			return t, fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return t, nil
}

// neighbour is a server with four processes and a way to reload it.
type neighbour struct {
	name   string
	addr   string // HOST:PORT
	reload func(context.Context) error
	stop   func() error
}

// settle is how long the answers after a reload count as touched by it: most
// of these programs return from the command long before they have reloaded.
const settle = time.Second

func (n neighbour) measure(ctx context.Context, b *bench, t *table) error {
	for _, keep := range []bool{false, true} {
		o, err := n.underLoad(ctx, b, keep)
		if err != nil {
			return err
		}
		n.report(t, o, b.less(6, 2), keep)
	}
	text, err := n.wrk(ctx, b)
	if errors.Is(err, exec.ErrNotFound) {
		t.note("%s: without wrk, which is not installed", n.name)
		return nil
	}
	if err == nil {
		t.note("%s, wrk -t1 -c32 (keep-alive, reconnects by itself) over the same reloads: %s", n.name, text)
	}
	return err
}

// underLoad reloads six times; phases are those of [measureReloads].
func (n neighbour) underLoad(ctx context.Context, b *bench, keep bool) (outcome, error) {
	var phase atomic.Int32
	loading, end := context.WithCancel(ctx)
	out := make(chan outcome, 1)
	go func() { out <- load{addr: n.addr, keep: keep, rate: rate}.run(loading, &phase) }()
	err := n.reloads(ctx, b, &phase)
	end()
	return <-out, err
}

func (n neighbour) reloads(ctx context.Context, b *bench, phase *atomic.Int32) error {
	for range b.less(6, 2) {
		if err := rest(ctx, settle); err != nil {
			return err
		}
		phase.Store(1)
		if err := n.reload(ctx); err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		if err := rest(ctx, settle); err != nil {
			return err
		}
		phase.Store(0)
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n neighbour) report(t *table, o outcome, reloads int, keep bool) {
	v := noTarget
	if n.name == "norestart" {
		v = judgeFailures(o.failed(), o.asked)
	}
	steady, during := o.took[0], o.took[1]
	text := fmt.Sprintf("%d of %d failed; p99 %s steady, %s during; longest %s", o.failed(), o.asked,
		seconds(quantile(steady, 0.99)), seconds(quantile(during, 0.99)), longest(append(slices.Clone(steady), during...)))
	if keep {
		text += fmt.Sprintf("; %d connections closed", max(o.dials-clients, 0))
	}
	t.add(fmt.Sprintf("%s, %d reloads, %s", n.name, reloads, kind(keep)), "0 failed", text, v)
}

// wrk lets an independent generator look, and returns the lines that count.
func (n neighbour) wrk(ctx context.Context, b *bench) (string, error) {
	path, err := exec.LookPath("wrk")
	if err != nil {
		return "", err
	}
	length := b.less(6, 2) * int((2*settle)/time.Second)
	cmd := exec.CommandContext(ctx, path, "-t1", "-c32", "-d", strconv.Itoa(length)+"s", "--latency", "http://"+n.addr+"/")
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	err = n.reloads(ctx, b, new(atomic.Int32))
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return "", err
	}
	return wrkLines(out.String()), nil
}

// wrkLines are what wrk says of errors, latency and rate, on one line.
func wrkLines(out string) string {
	var kept []string
	errorLine := "no socket errors"
	for line := range strings.Lines(out) {
		line = strings.Join(strings.Fields(line), " ")
		switch {
		case strings.HasPrefix(line, "Socket errors:"), strings.HasPrefix(line, "Non-2xx"):
			errorLine = line
		case strings.HasPrefix(line, "99% "), strings.HasPrefix(line, "Requests/sec:"):
			kept = append(kept, line)
		}
	}
	return strings.Join(append([]string{errorLine}, kept...), "; ")
}

func startHello(ctx context.Context, b *bench) (neighbour, error) {
	c, err := b.hello(ctx)
	if err != nil {
		return neighbour{}, err
	}
	reload := func(ctx context.Context) error { _, err := c.ctl(ctx, "reload"); return err }
	return neighbour{name: "norestart", addr: c.web, reload: reload, stop: c.stop}, nil
}

// foreignDir is a directory for one program's files, and a free port.
func (b *bench) foreignDir(name string) (dir, addr string, err error) {
	if dir, err = os.MkdirTemp(b.dir, name+"-"); err != nil {
		return "", "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	return dir, ln.Addr().String(), ln.Close()
}

// answers waits until a server answers.
func answers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			return answer.Body.Close()
		}
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("no answer from %s: %w", addr, err)
		}
	}
}

// accepts waits until somebody listens.
func accepts(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("nobody listens on %s: %w", addr, err)
		}
	}
}

// launched waits for a foreign server that has been started.
func launched(ctx context.Context, n neighbour) (neighbour, error) {
	if err := answers(ctx, n.addr); err != nil {
		return n, errors.Join(err, n.stop())
	}
	return n, nil
}

// write makes a file of a foreign program.
func write(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
