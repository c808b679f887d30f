// Faulty is an application that misbehaves on request. It is test data of the
// transcripts, not an example.
//
// Files in its working directory are the requests. NAME is for every worker,
// NAME.2 for the one in slot 2:
//
//	exit      end at once with the status that the file holds
//	panic     panic at once with the text that the file holds
//	unready   never become ready
//	alone     end with 7 while another process of the slot lives
//	deaf      finish neither when asked to drain nor on TERM
//	child     start a child that ignores TERM and has the worker's output
//	daemon    run the shell script that the file holds in a session of its own
//	lives     add a line to this file: worker, generation, incarnation
//	module    have a module of the version that the file holds
//	patience  how long a hook of the module may take
//	before    fail in the module's BeforeReload: error, panic, hang, or be slow: until the file has gone
//	after     the same in AfterReload, and text: the state is none that it can read
//	mail      have a mailbox and a module for it. The message "refuse" is refused,
//	          "wait" waits until the file of that name has gone
//	app.toml  is the configuration, see type settings
//	late      panic, in a version that is bad: FAULTY_BAD is set
//
// The file "address" holds the address that it listens on, in the place of the
// one of --listen. What the cache holds are files in disk/cache, which the
// command "cache drop" removes. The file "command" holds the name of one more
// command.
//
// Handlers: "end" lets a worker end with status 0, "crash" with 9,
// "panic" by one with its second argument (all of them for the worker "all"),
// "say" writes its arguments as lines, "tally" a number of numbered ones, "flood"
// as many of a kilobyte at once.
//
// With --crowd SOCKET it is no cluster: it crowds that socket as --user.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/shell"
)

type options struct {
	dir, listen, admin, policy, share, hash, user, crowd, killGroup string
	workers, maxRestarts, maxSurge                                  int
	maxRequests                                                     int64
	newPrivileges                                                   bool
	lostAfter, drain, killAfter, canary, lameDuck                   time.Duration
	idle, stall                                                     time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "", "")
	flag.StringVar(&o.listen, "listen", "", "")
	flag.StringVar(&o.admin, "admin", "", "taken and not used: there is a shell only with --password-hash")
	flag.StringVar(&o.policy, "policy", string(control.Always), "")
	flag.StringVar(&o.share, "share", control.ShareSlots, "")
	flag.StringVar(&o.hash, "password-hash", "", "")
	flag.StringVar(&o.user, "user", "", "")
	flag.StringVar(&o.crowd, "crowd", "", "")
	flag.StringVar(&o.killGroup, "kill-group", "", "")
	flag.BoolVar(&o.newPrivileges, "new-privileges", false, "")
	flag.IntVar(&o.workers, "workers", 3, "")
	flag.IntVar(&o.maxRestarts, "max-restarts", 0, "")
	flag.IntVar(&o.maxSurge, "max-surge", 0, "")
	flag.Int64Var(&o.maxRequests, "max-requests", 0, "")
	flag.DurationVar(&o.lostAfter, "lost-after", 0, "")
	flag.DurationVar(&o.drain, "drain", 0, "")
	flag.DurationVar(&o.killAfter, "kill-after", 0, "")
	flag.DurationVar(&o.canary, "canary", 0, "")
	flag.DurationVar(&o.lameDuck, "lame-duck", 200*time.Millisecond, "")
	flag.DurationVar(&o.idle, "idle", 0, "")
	flag.DurationVar(&o.stall, "stall", 0, "")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "error: faulty: unexpected argument", flag.Arg(0))
		os.Exit(2)
	}
	if o.crowd != "" {
		fmt.Fprintln(os.Stderr, "error: faulty:", crowd(o.crowd, o.user))
		os.Exit(1)
	}
	norestart.Main(o.app())
}

func (o options) app() norestart.App {
	if text, err := os.ReadFile("address"); err == nil {
		o.listen = strings.TrimSpace(string(text))
	}
	app := norestart.App{Name: "faulty", Dir: o.dir, Pools: []norestart.Pool{{
		Name: "web", Workers: o.workers, Listen: []string{"tcp://" + o.listen}, Run: serve,
		Policy: control.Policy(o.policy), Share: o.share, User: o.user, NewPrivileges: o.newPrivileges, MaxRestarts: o.maxRestarts, MaxSurge: o.maxSurge, MaxRequests: o.maxRequests,
		LostAfter: o.lostAfter, DrainTimeout: o.drain, KillAfter: o.killAfter, KillGroup: o.killGroup, LameDuck: o.lameDuck, Canary: o.canary,
	}}}
	if _, err := os.Stat("app.toml"); err == nil {
		app.ConfigFile = "app.toml"
	}
	if o.hash != "" {
		app.Shell = &shell.Config{
			Host: "127.0.0.1", Port: -1, PasswordHash: o.hash, IdleTimeout: o.idle, StallTimeout: o.stall,
			Commands: []commands.Command{cacheDrop},
		}
		if name, err := os.ReadFile("command"); err == nil {
			more := cacheDrop
			more.Name = strings.TrimSpace(string(name))
			app.Shell.Commands = append(app.Shell.Commands, more)
		}
	}
	return app
}
