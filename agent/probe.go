package agent

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/norestart/norestart/control"
)

// ask asks a process once; nil: it is well.
func (p *probes) ask(ctx context.Context, a *asking) error {
	if len(a.probe.Exec) > 0 {
		select {
		case p.programs <- struct{}{}:
			defer func() { <-p.programs }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, a.probe.Timeout, fmt.Errorf("no answer within %v", a.probe.Timeout))
	defer cancel()
	err := p.once(ctx, a)
	switch {
	case err == nil:
		return nil
	case time.Since(began) > a.probe.Timeout+late:
		return errLate
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%v: %w", a.probe, err)
}

func (p *probes) once(ctx context.Context, a *asking) error {
	at, probe := a.at.Load(), a.probe
	switch {
	case len(probe.Exec) > 0:
		return a.execute(ctx, at.pid)
	case probe.TCP == control.TCPPort:
		return atPrivate(at.private, func(addr string) error { return dial(ctx, addr) })
	case probe.TCP != "":
		return dial(ctx, probe.TCP)
	case strings.HasPrefix(probe.HTTP, "/"):
		return atPrivate(at.private, func(addr string) error {
			return p.get(ctx, "http://"+addr+probe.HTTP, cmp.Or(probe.Host, "localhost"))
		})
	}
	return p.get(ctx, probe.HTTP, probe.Host)
}

// atPrivate tries a private address, and the other one of this machine: some programs
// take localhost for ::1 alone.
func atPrivate(private string, try func(addr string) error) error {
	if private == "" {
		return errors.New("it has no address of its own")
	}
	err := try(private)
	if host, port, _ := net.SplitHostPort(private); host == "127.0.0.1" && errors.Is(err, syscall.ECONNREFUSED) && try(net.JoinHostPort("::1", port)) == nil {
		return nil
	}
	return err
}

func dial(ctx context.Context, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// get makes a request. A redirection is an answer like others.
func (p *probes) get(ctx context.Context, address, host string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	r.Host = cmp.Or(host, r.Host)
	r.Header.Set("User-Agent", "norestart-probe")
	answer, err := p.client.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok { // which repeats the address
			err = e.Err
		}
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 200 && answer.StatusCode < 400 {
		return nil
	}
	line, _ := bufio.NewReader(io.LimitReader(answer.Body, longest)).ReadString('\n') // what has come of it
	if line = strings.TrimSpace(line); line != "" {
		return fmt.Errorf("%s: %s", answer.Status, line)
	}
	return errors.New(answer.Status)
}

// execute runs the program of a probe as a worker of the pool would run.
func (a *asking) execute(ctx context.Context, pid int) error {
	pool := a.pool
	cmd := command(ctx, a.probe.Exec, pool.Program.Dir)
	_, slot, _ := strings.Cut(a.id, "/")
	cmd.Env = append(pool.Program.Env[:len(pool.Program.Env):len(pool.Program.Env)],
		"NORESTART_POOL="+pool.Name, "NORESTART_SLOT="+slot, "NORESTART_PID="+strconv.Itoa(pid))
	if as := pool.RunAs; as != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: as.UID, Gid: as.GID, Groups: as.Groups}
		cmd.Env = append(cmd.Env, "USER="+as.Name, "LOGNAME="+as.Name, "HOME="+as.Home)
	}
	return run(ctx, cmd)
}
