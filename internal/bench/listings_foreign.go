package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// listPM2 is PM2 with the four processes that its reloads are measured with.
func listPM2(ctx context.Context, b *bench) (listing, error) {
	l := listing{name: "pm2 ls"}
	path, err := exec.LookPath("pm2")
	if err != nil {
		return l, err
	}
	dir, addr, err := b.foreignDir("pm2")
	if err != nil {
		return l, err
	}
	program, err := write(dir, "server.js", pm2Program)
	if err != nil {
		return l, err
	}
	pm2 := func(ctx context.Context, args ...string) error {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = append(os.Environ(), "PM2_HOME="+dir+"/home", "BENCH_ADDR="+addr, "PM2_DISCRETE_MODE=true")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("pm2 %s: %w: %s", args[0], err, text)
		}
		return nil
	}
	l.run = func(ctx context.Context) error { return pm2(ctx, "ls") }
	l.stop = func() error { return pm2(context.WithoutCancel(ctx), "kill") }
	if err := pm2(ctx, "start", program, "--name", "web", "-i", "4", "--wait-ready"); err != nil {
		return l, errors.Join(err, l.stop())
	}
	return l, nil
}

const supervisorConf = `[supervisord]
nodaemon=true
pidfile=%[1]s/pid
logfile=%[1]s/log
childlogdir=%[1]s
[unix_http_server]
file=%[1]s/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%[1]s/sock
[program:web]
command=tail -f /dev/null
process_name=web-%%(process_num)d
numprocs=4
startsecs=0
`

// listSupervisor is supervisord with four processes that wait.
func listSupervisor(ctx context.Context, b *bench) (listing, error) {
	l := listing{name: "supervisorctl status"}
	path, err := exec.LookPath("supervisorctl")
	if err != nil {
		return l, err
	}
	daemon, err := exec.LookPath("supervisord")
	if err != nil {
		return l, err
	}
	dir, _, err := b.foreignDir("supervisor")
	if err != nil {
		return l, err
	}
	conf, err := write(dir, "conf", fmt.Sprintf(supervisorConf, dir))
	if err != nil {
		return l, err
	}
	p, err := start(exec.Command(daemon, "-n", "-c", conf))
	if err != nil {
		return l, err
	}
	l.stop = p.stop
	l.run = func(ctx context.Context) error { _, err := output(ctx, path, "-c", conf, "status"); return err }
	for range 4 { // all four run
		if _, err := p.line(ctx, "entered RUNNING state"); err != nil {
			return l, errors.Join(err, l.stop())
		}
	}
	return l, nil
}
