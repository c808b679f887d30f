package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

// options say what a run is.
type options struct {
	length  time.Duration
	seed    uint64
	program string   // package of the program: examples/hello, or one with its flags
	only    []string // kinds of actions; none: all
	rate    int      // requests per second of each kind of client
	race    bool
	drain   string // for internal/chaos/lossy
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "error: chaos:", err)
	os.Exit(1)
}

func command(ctx context.Context, args []string, out io.Writer) error {
	o := options{}
	fs := flag.NewFlagSet("chaos", flag.ContinueOnError)
	fs.DurationVar(&o.length, "for", 5*time.Minute, "how long things are done to the cluster")
	fs.Uint64Var(&o.seed, "seed", rand.Uint64(), "repeats the order of the actions")
	fs.StringVar(&o.program, "program", harness.Module+"/examples/hello", "package of the program, which has the flags of examples/hello")
	fs.IntVar(&o.rate, "rate", 120, "requests per second of each kind of client")
	fs.BoolVar(&o.race, "race", false, "build the programs with the race detector")
	fs.StringVar(&o.drain, "drain", "", "written into the file drain for internal/chaos/lossy: exit or shutdown")
	only := fs.String("only", "", "do these things only, separated by commas: "+strings.Join(kinds(), ", "))
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(kinds(), name) {
			return fmt.Errorf("-only %s: must be some of %s", name, strings.Join(kinds(), ", "))
		}
	}
	if o.length <= 0 || o.rate < 1 || fs.NArg() > 0 {
		return errors.New("-for and -rate must be above 0, and nothing may follow the flags")
	}
	return run(ctx, o, out)
}
