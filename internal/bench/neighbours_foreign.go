package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// The configurations are what each program's manual says for a reload without
// loss; all answer the same 12 bytes with four processes.

const nginxConf = `daemon off; worker_processes 4; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b;
  fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  keepalive_requests 1000000;
  server { listen %[2]s reuseport; location / { return 200 "hello world\n"; } }
}
`

func startNginx(ctx context.Context, b *bench) (neighbour, error) {
	return startForeign(ctx, b, foreign{name: "nginx", conf: nginxConf, reload: syscall.SIGHUP, args: func(dir, conf string) []string {
		return []string{"-p", dir, "-e", dir + "/error.log", "-c", conf}
	}})
}

// HAProxy has one worker with four threads, which is how it is run today; the
// master hands the listening sockets to the next worker (expose-fd listeners).
const haproxyConf = `global
  nbthread 4
  stats socket %[1]s/admin.sock mode 600 level admin expose-fd listeners
  hard-stop-after 30s
defaults
  mode http
  timeout client 30s
  timeout connect 5s
  timeout server 30s
frontend web
  bind %[2]s
  http-request return status 200 content-type text/plain string "hello world\n"
`

func startHAProxy(ctx context.Context, b *bench) (neighbour, error) {
	return startForeign(ctx, b, foreign{name: "haproxy", conf: haproxyConf, reload: syscall.SIGUSR2, args: func(_, conf string) []string {
		return []string{"-W", "-f", conf}
	}})
}

// foreign is a program in the foreground that a signal reloads.
type foreign struct {
	name   string
	conf   string // with the directory and the address to be filled in
	args   func(dir, conf string) []string
	reload syscall.Signal
}

func startForeign(ctx context.Context, b *bench, s foreign) (neighbour, error) {
	path, err := exec.LookPath(s.name)
	if err != nil {
		return neighbour{}, err
	}
	dir, addr, err := b.foreignDir(s.name)
	if err != nil {
		return neighbour{}, err
	}
	conf, err := write(dir, "conf", fmt.Sprintf(s.conf, dir, addr))
	if err != nil {
		return neighbour{}, err
	}
	p, err := start(exec.Command(path, s.args(dir, conf)...))
	if err != nil {
		return neighbour{}, err
	}
	reload := func(context.Context) error { return p.cmd.Process.Signal(s.reload) }
	return launched(ctx, neighbour{name: s.name, addr: addr, reload: reload, stop: p.stop})
}

// The program waits for its requests as PM2's manual says for a graceful
// reload: it tells that it is ready, and closes its server on SIGINT.
const pm2Program = `const http = require('http')
const [host, port] = process.env.BENCH_ADDR.split(':')
const server = http.createServer({ keepAliveTimeout: 60000 }, (req, res) => {
  res.setHeader('Content-Length', 12)
  res.end('hello world\n')
})
server.listen(Number(port), host, () => process.send && process.send('ready'))
process.on('SIGINT', () => {
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})
`

func startPM2(ctx context.Context, b *bench) (neighbour, error) {
	path, err := exec.LookPath("pm2")
	if err != nil {
		return neighbour{}, err
	}
	dir, addr, err := b.foreignDir("pm2")
	if err != nil {
		return neighbour{}, err
	}
	program, err := write(dir, "server.js", pm2Program)
	if err != nil {
		return neighbour{}, err
	}
	pm2 := func(ctx context.Context, args ...string) error {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = append(os.Environ(), "PM2_HOME="+dir+"/home", "BENCH_ADDR="+addr, "PM2_DISCRETE_MODE=true")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("pm2 %s: %w: %s", args[0], err, text)
		}
		return nil
	}
	stop := func() error { return pm2(context.WithoutCancel(ctx), "kill") }
	if err := pm2(ctx, "start", program, "--name", "web", "-i", "4", "--wait-ready", "--kill-timeout", "5000"); err != nil {
		return neighbour{}, errors.Join(err, stop())
	}
	reload := func(ctx context.Context) error { return pm2(ctx, "reload", "web") }
	return launched(ctx, neighbour{name: "PM2", addr: addr, reload: reload, stop: stop})
}
