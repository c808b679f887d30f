package e2e

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/norestart/norestart/internal/harness"
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
		s.loads[name] = startLoad(readPace(ts, args[2:]))
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
			c.StopAfter(*least)
		}
		c.judge(ts, *least)
	case "run":
		p := readPace(ts, args[1:])
		startLoad(p).judge(ts, p.Count)
	default:
		ts.Fatalf("load: no %s", args[0])
	}
}

type pace struct {
	harness.Load
	hold bool // a connection that is closed is a failure, also one that was announced
}

func readPace(ts *testscript.TestScript, args []string) pace {
	var p pace
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.IntVar(&p.Clients, "clients", 4, "")
	flags.IntVar(&p.Rate, "rate", 100, "requests per second")
	flags.IntVar(&p.Count, "n", 0, "requests in all")
	flags.BoolVar(&p.Keep, "keep", false, "keep connections")
	flags.BoolVar(&p.hold, "hold", false, "keep connections, none may be closed")
	flags.IntVar(&p.Streams, "streams", 0, "speak HTTP/2, so many clients over a connection")
	flags.BoolVar(&p.Secured, "tls", false, "within TLS, with -streams")
	flags.DurationVar(&p.Limit, "limit", 2*time.Minute, "")
	ts.Check(flags.Parse(args))
	if flags.NArg() < 1 || p.Clients < 1 || p.Rate < 1 || p.Streams < 0 || p.Secured && p.Streams == 0 {
		ts.Fatalf("load: an ADDRESS[/PATH], positive numbers")
	}
	address, path, _ := strings.Cut(flags.Arg(0), "/")
	paths := append([]string{"/" + path}, flags.Args()[1:]...)
	p.Address, p.Keep = address, p.Keep || p.hold
	p.Path = func(client, _ int) (string, string) { return paths[client%len(paths)], "" }
	return p
}

// running is a load under way, with the generations that have answered.
type running struct {
	*harness.Running
	pace
	generations map[string]bool
}

var generation = regexp.MustCompile(`generation=(\d+)`)

func startLoad(p pace) *running {
	r := &running{pace: p, generations: make(map[string]bool)}
	p.Seen = func(s harness.Sample) {
		if m := generation.FindStringSubmatch(s.Body); s.Err == nil && m != nil {
			r.generations[m[1]] = true
		}
	}
	r.Running = p.Start(context.Background())
	return r
}

// judge waits for the end of a load, prints what came of it, and fails the script
// if that is not good.
func (r *running) judge(ts *testscript.TestScript, least int) {
	res := r.Wait()
	_, _ = fmt.Fprintf(ts.Stdout(), "requests=%d failed=%d connections=%d closed=%d generations=%s\n", // to a string
		res.Requests, res.Failed, res.Connections, res.Closed, strings.Join(slices.Sorted(maps.Keys(r.generations)), ","))
	if res.Failed > 0 {
		ts.Fatalf("%d of %d requests failed: %s", res.Failed, res.Requests, strings.Join(res.Causes, "; "))
	}
	if r.hold && res.Closed > 0 {
		ts.Fatalf("%d connections were closed", res.Closed)
	}
	if res.Requests < least {
		ts.Fatalf("%d requests, want at least %d", res.Requests, least)
	}
}
