package e2e

import (
	"flag"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// load makes requests:
//
//	load start NAME [-clients N] [-rate N] [-keep | -hold | -streams N] [-limit D] ADDRESS[/PATH] [/PATH…]
//	load stop NAME [-min N]
//	load wait NAME
//	load run [-n N] [-clients N] [-rate N] [-keep | -hold | -streams N] ADDRESS[/PATH] [/PATH…]
//
// Stop ends it when at least N requests have been made, wait when all have.
// Both, and run, print what came of it, and fail if a single request did. With
// -hold each client has one connection, and it is a failure if that is closed.
// With -streams they speak HTTP/2, N of them over one connection. Of several
// paths each client takes one, in turn.
func load(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: load start|stop|run …")
	}
	s, name := of(ts), args[1]
	switch args[0] {
	case "start":
		if s.loads[name] != nil {
			ts.Fatalf("load %s runs already", name)
		}
		s.loads[name] = newClient(readPace(ts, args[2:]))
	case "stop", "wait":
		c := s.loads[name]
		if c == nil {
			ts.Fatalf("no load %s", name)
		}
		delete(s.loads, name)
		flags := flag.NewFlagSet("load "+args[0], flag.ContinueOnError)
		least := flags.Int("min", 1, "requests")
		ts.Check(flags.Parse(args[2:]))
		if args[0] == "stop" {
			c.stopAfter(*least)
		}
		judge(ts, c.pace, c.wait(), *least)
	case "run":
		p := readPace(ts, args[1:])
		judge(ts, p, newClient(p).wait(), p.count)
	default:
		ts.Fatalf("load: no %s", args[0])
	}
}

func readPace(ts *testscript.TestScript, args []string) pace {
	var p pace
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.IntVar(&p.clients, "clients", 4, "")
	flags.IntVar(&p.rate, "rate", 100, "requests per second")
	flags.IntVar(&p.count, "n", 0, "requests in all")
	flags.BoolVar(&p.keepAlive, "keep", false, "keep connections")
	flags.BoolVar(&p.hold, "hold", false, "keep connections, none may be closed")
	flags.IntVar(&p.streams, "streams", 0, "speak HTTP/2, so many clients over a connection")
	flags.DurationVar(&p.limit, "limit", 2*time.Minute, "")
	ts.Check(flags.Parse(args))
	if flags.NArg() < 1 || p.clients < 1 || p.rate < 1 || p.streams < 0 {
		ts.Fatalf("load: an ADDRESS[/PATH], positive numbers")
	}
	address, path, _ := strings.Cut(flags.Arg(0), "/")
	p.keepAlive = p.keepAlive || p.hold
	p.address, p.paths = address, append([]string{"/" + path}, flags.Args()[1:]...)
	return p
}

func judge(ts *testscript.TestScript, p pace, r result, least int) {
	_, _ = ts.Stdout().Write([]byte(r.String())) // to a string
	if r.failed > 0 {
		ts.Fatalf("%d of %d requests failed: %s", r.failed, r.requests, strings.Join(r.causes, "; "))
	}
	if p.hold && r.closed > 0 {
		ts.Fatalf("%d connections were closed", r.closed)
	}
	if r.requests < least {
		ts.Fatalf("%d requests, want at least %d", r.requests, least)
	}
}
