// Pingpong sends numbered messages between four workers while they are reloaded,
// their primary executes itself and is killed, and proves by journals that each was
// handled once and in order:
//
//	pingpong --messages 2000 --reloads 3 --execs 2 --kills 1 --dir DIR
//
// Message 4 of the first round asks for the first reload itself. With
// --worker-kills workers are killed, too: then messages may come twice, marked as
// redelivered. ../pingpong-check compares journals that are there.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/control"
)

type options struct {
	dir, norestart                     string
	messages                           int
	reloads, execs, kills, workerKills int
	silence                            time.Duration
	cluster                            bool
}

const (
	pool  = "actors"
	slots = 4
	lanes = 4 // of each slot: it plays so many rallies at once
)

// perRound is how many messages there are when each slot has played one ping and its
// pong.
const perRound = 2 * slots

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	if o.cluster {
		serve(o)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	ok, err := drive(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("pingpong", flag.ExitOnError)
	f.StringVar(&o.dir, "dir", "", "a new directory: journals, the cluster, and what it has written")
	f.StringVar(&o.norestart, "norestart", "norestart", "the program norestart")
	f.IntVar(&o.messages, "messages", 2000, "how many, pings and pongs together, a multiple of 8")
	f.IntVar(&o.reloads, "reloads", 3, "how many reloads")
	f.IntVar(&o.execs, "execs", 2, "how many times the primary executes itself")
	f.IntVar(&o.kills, "kills", 1, "how many kills of the primary, every second one within a reload while there are enough of them")
	f.IntVar(&o.workerKills, "worker-kills", 0, "how many kills of workers")
	f.DurationVar(&o.silence, "silence", time.Minute, "how long no message may come at the end, when some are to come yet")
	f.BoolVar(&o.cluster, "cluster", false, "be the cluster: pingpong starts it so itself")
	_ = f.Parse(args) // it exits
	switch {
	case f.NArg() > 0:
		err = fmt.Errorf("argument %q: there are only flags, see --help", f.Arg(0))
	case o.dir == "":
		err = fmt.Errorf("no directory: name a new one with --dir")
	case o.messages < perRound || o.messages%perRound != 0:
		err = fmt.Errorf("--messages %d: must be a multiple of %d", o.messages, perRound)
	case min(o.reloads, o.execs, o.kills, o.workerKills) < 0:
		err = fmt.Errorf("--reloads, --execs, --kills and --worker-kills must not be below 0")
	}
	if err == nil {
		o.dir, err = filepath.Abs(o.dir)
	}
	return o, err
}

// rounds is how many rallies each slot begins.
func (o options) rounds() int { return o.messages / perRound }

// serve is the cluster.
func serve(o options) {
	norestart.Main(norestart.App{
		Name: "pingpong", Dir: filepath.Join(o.dir, "cluster"),
		Pools: []norestart.Pool{{
			Name: pool, Workers: slots, Run: o.actor, Grant: control.GrantReload,
			Canary: -1, MaxRestarts: 1 << 20, BackoffMax: time.Second,
		}},
	})
}
