package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/norestart/norestart/control"
)

type flags struct {
	listen, dir string
	workers     int
	h2c         bool
	accessLog   string
	lostAfter   time.Duration
	adminHost   string
	adminPort   int

	tlsCert, tlsKey string
	webCert, webKey string
	user, shellUser string
}

// parseFlags reads the command line and ends the program with status 2 when it
// is wrong. It runs in every process of the cluster.
func parseFlags() flags {
	var f flags
	admin, workers := "127.0.0.1:7777", "4"
	fs := flag.NewFlagSet("hello", flag.ContinueOnError)
	fs.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address of the web server; port 0: any free one")
	fs.StringVar(&admin, "admin", admin, "address of the admin port; port 0: any free one")
	fs.StringVar(&workers, "workers", workers, "number of workers, or auto: one a processor")
	fs.StringVar(&f.dir, "dir", "", "run and state directory (default: the standard places)")
	fs.StringVar(&f.tlsCert, "tls-cert", "", "certificate of the admin port's TLS side, in PEM form (default: one is made)")
	fs.StringVar(&f.tlsKey, "tls-key", "", "key of that certificate")
	fs.StringVar(&f.webCert, "web-cert", "", "certificate of the web server, in PEM form: it speaks https")
	fs.StringVar(&f.webKey, "web-key", "", "key of that certificate")
	fs.BoolVar(&f.h2c, "h2c", false, "speak HTTP/2 without TLS, too")
	fs.StringVar(&f.accessLog, "access-log", "", "file for a line at the beginning and at the end of each connection and request")
	fs.DurationVar(&f.lostAfter, "lost-after", control.DefaultLostAfter, "replace a worker that has been silent for so long")
	fs.StringVar(&f.user, "user", "", "whom the web workers run as; only root can have others")
	fs.StringVar(&f.shellUser, "shell-user", "", "whom the shell worker runs as; only root can have others")
	err := fs.Parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err == nil {
		err = f.finish(fs.Args(), admin, workers)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: hello:", err)
		os.Exit(2)
	}
	return f
}

func (f *flags) finish(rest []string, admin, workers string) (err error) {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	host, port, err := net.SplitHostPort(admin)
	if err != nil {
		return fmt.Errorf("--admin %q: must be HOST:PORT", admin)
	}
	f.adminHost = host
	if f.adminPort, err = strconv.Atoi(port); err != nil || f.adminPort < 0 || f.adminPort > 65535 {
		return fmt.Errorf("--admin %q: no port %q", admin, port)
	}
	if f.adminPort == 0 {
		f.adminPort = -1 // any free one
	}
	if f.lostAfter <= 0 {
		return fmt.Errorf("--lost-after %v: must be longer than that", f.lostAfter)
	}
	if (f.webCert == "") != (f.webKey == "") {
		return errors.New("--web-cert and --web-key: name both files")
	}
	if workers == "auto" {
		f.workers = control.Auto
		return nil
	}
	if f.workers, err = strconv.Atoi(workers); err != nil || f.workers < 0 {
		return fmt.Errorf("--workers %q: must be a number or auto", workers)
	}
	return nil
}
