package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const limit = 20 * time.Minute

// Roles of this program beside that of measuring: the measured cluster, and
// what it is compared with.
const (
	roleCluster = "cluster"
	roleBare    = "bare"
	roleSSH     = "sshd"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case roleCluster:
			runCluster(os.Args[2:]) // ends the process
		case roleBare:
			end(runBare())
		case roleSSH:
			end(runSSH(os.Args[2], os.Args[3]))
		}
	}
	end(run(os.Args[1:], os.Stdout))
}

func end(err error) {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "error: bench:", err)
	os.Exit(1)
}

type section struct {
	name, title string
	measure     func(context.Context, *bench) (table, error)
}

var sections = []section{
	{"reload", "Rolling reloads under load", measureReloads},
	{"moved", "Connections that move", measureMoved},
	{"throughput", "Throughput against one bare Go process", measureThroughput},
	{"oneshot", "One command: `ssh host worker info`", measureOneShots},
	{"client", "One command by our own client: `norestart exec`", measureClient},
	{"typing", "What a person waits for", measureTyping},
	{"logins", "Logins and commands of 32 operators at a time", measureLogins},
	{"memory", "Memory", measureMemory},
	{"replace", "A killed worker", measureReplace},
	{"attack", "A login under attack", measureAttack},
	{"start", "Reload and start", measureStarts},
}

// long are the sections that take minutes: measured only when they are named.
var long = []section{
	{"up", "Many pools by `norestart up`", measureUp},
	{"scale500", "Large pools, and what a primary does to them", measureScale500},
	{"sessions", "Memory of an idle session", measureSessions},
	{"million", "A million requests over rolling reloads", measureMillion},
	{"kills", "The primary is killed under load", measureKills},
	{"execs", "The primary executes its code in place under load", measureExecs},
}

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := fs.String("only", "", "measure these sections only, separated by commas: "+strings.Join(names(), ", "))
	short := fs.Bool("short", false, "a few turns of each, to see whether it works; not for docs/benchmarks.md")
	address := fs.String("load", "", "measure only another server, which listens at HOST:PORT already")
	command := fs.String("reload", "", "how that is reloaded, for sh -c")
	if err := fs.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if *address != "" {
		chosen = []section{{fmt.Sprintf("-load %s -reload %q", *address, *command), "Six reloads under 1,000 requests a second", other(*address, *command)}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := prepare(ctx, *short)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	fmt.Fprintln(out, machine())
	for _, s := range chosen {
		t, err := s.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		t.print(out, s.command(), s.title)
	}
	fmt.Fprintf(out, "\nLoad average at the end: %s\n", loadAverage())
	return nil
}

// command measures a section again.
func (s section) command() string {
	if strings.HasPrefix(s.name, "-") {
		return s.name
	}
	return "-only " + s.name
}

func names() (all []string) {
	for _, s := range slices.Concat(sections, long) {
		all = append(all, s.name)
	}
	return all
}

// choose returns the sections of that list of names; if it is empty, all but
// the long ones.
func choose(list string) ([]section, error) {
	if list == "" {
		return sections, nil
	}
	wanted := strings.Split(list, ",")
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("no section %q: %s", name, strings.Join(names(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Concat(sections, long), func(s section) bool { return !slices.Contains(wanted, s.name) }), nil
}
