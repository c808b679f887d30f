package primary

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/launch"
	"github.com/norestart/norestart/internal/proc"
)

const (
	sigTerm = syscall.SIGTERM
	sigKill = syscall.SIGKILL
)

// The environment by which a process knows its part. The secret is not in it.
const (
	RoleVariable = "NORESTART_ROLE"    // "worker", "launch"; unset in the primary
	BootVariable = "NORESTART_BOOT_FD" // descriptor with ipc.Boot
	RoleWorker   = "worker"
)

// Descriptors of a worker beside stdin, stdout and stderr.
const (
	bootFD   = 3
	listenFD = 4 // and following
)

// run is one process of a slot, from the decision to start it to its exit.
type run struct {
	inc     uint64
	number  int // generation
	since   time.Time
	process proc.Process // nil until it has been started
	out     *output
	pending syscall.Signal
	conv    *conversation // nil until its hello
	peer    int           // pid that said hello
	beat    ipc.Beat
	heard   time.Time // of the last beat
	silent  bool
	gone    bool             // reaped, but that is taken in only when its pool is complete
	closed  bool             // accepts no more connections
	leaving bool             // it ends by itself
	groups  []*inherit.Group // what it accepts on; nil: whatever there is
	former  bool             // until groups is known: it accepts on the former addresses
	early   bool             // it said that it is ready before we knew that it runs
	reason  string           // why we ended it
	timers  []*time.Timer
	cut     time.Time // the end of its drain; zero: there is none
}

// forget stops what waits for a process that has gone: without it the timers
// of short-lived ones would add up, each for its half minute.
func (r *run) forget() {
	for _, t := range r.timers {
		t.Stop()
	}
}

func (r *run) pid() int {
	if r.process == nil {
		return 0
	}
	return r.process.PID()
}

// signal sends sig to the process group of a run; one that is being started
// gets it as soon as it can be reached.
func (s *seat) signal(inc uint64, sig syscall.Signal) {
	r := s.runs[inc]
	switch {
	case r == nil:
	case r.process == nil:
		r.pending = sig
	default:
		_ = r.process.Signal(sig) // it has gone: its exit tells
	}
}

// spawner starts processes beside the loop, a few at a time: the start of a
// process is work for the processor, more at once only delays each.
type spawner struct {
	cfg   Config
	key   []byte
	log   *journal[control.LogLine]
	show  func(worker, text string)
	slots chan struct{}
	wg    sync.WaitGroup
}

// start begins a process of a slot; how it went comes as events.
func (l *loop) start(s *seat, inc uint64, gen int) {
	s.runs[inc] = &run{inc: inc, number: gen, since: time.Now(), groups: slices.Clone(s.pool.groups)}
	g := s.pool.generation(gen)
	boot := l.boot(s, inc, gen)
	var fds []int
	for _, group := range s.pool.groups {
		fds = append(fds, group.FD(s.index))
	}
	for _, group := range s.pool.groups {
		fds = append(fds, group.FDs()...)
	}
	spec, id, post, sp := s.pool.spec, s.id(), l.post, l.spawn
	sp.wg.Go(func() {
		sp.slots <- struct{}{}
		p, out, err := sp.spawn(g, boot, fds, spec, id)
		<-sp.slots
		if err != nil {
			post(func(l *loop) { l.spawnFailed(s, inc, err) })
			return
		}
		post(func(l *loop) { l.started(s, inc, p, out) })
		await(s, inc, p, out, post)
	})
}

// watch follows a process that somebody else started to its end.
func (l *loop) watch(s *seat, inc uint64, p proc.Process, out *output) {
	post := l.post
	l.spawn.wg.Go(func() { await(s, inc, p, out, post) })
}

// await tells the loop of the end of a process. The exit is the end of its
// output.
func await(s *seat, inc uint64, p proc.Process, out *output, post func(event) bool) {
	exit := <-p.Wait()
	var lines []string
	if out != nil {
		lines = out.finish()
	}
	post(func(l *loop) { l.exited(s, inc, exit, lines) })
}

// boot is what the new process learns about itself.
func (l *loop) boot(s *seat, inc uint64, gen int) ipc.Boot {
	b := ipc.Boot{
		Cluster: l.cfg.Spec.Name, Version: l.cfg.Version, Pool: s.pool.spec.Name, Slot: s.index,
		Generation: gen, Incarnation: inc, Secret: secret(l.spawn.key, s.id(), gen, inc),
		Run: l.cfg.Run, State: l.cfg.State, Beat: s.pool.spec.Beat,
		Orphan: s.pool.spec.Orphan, OrphanAfter: s.pool.spec.OrphanAfter,
	}
	for i, group := range s.pool.groups {
		b.Listeners = append(b.Listeners, ipc.Inherited{Name: s.pool.names[i], Addr: group.Addr(), FD: listenFD + i})
	}
	fd := listenFD + len(s.pool.groups)
	for i, group := range s.pool.groups {
		for slot := range group.Len() {
			b.Sockets = append(b.Sockets, ipc.Socket{Name: s.pool.names[i], Slot: slot, FD: fd})
			fd++
		}
	}
	return b
}

// secret proves in a hello that the primary started the process as what it
// says it is.
func secret(key []byte, worker string, gen int, inc uint64) []byte {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s %d %d", worker, gen, inc)
	return h.Sum(nil)
}

// spawn starts one process with its output and its boot message.
func (sp *spawner) spawn(g *generation, b ipc.Boot, listeners []int, spec control.PoolSpec, id string) (proc.Process, *output, error) {
	ours, child, err := openOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("open the output: %w", err)
	}
	defer unix.Close(child)
	if as := spec.RunAs; as != nil { // whoever opens /dev/stdout needs the right to
		if err := unix.Fchown(child, int(as.UID), int(as.GID)); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("give the output away: %w", err), ours.Close())
		}
	}
	boot, err := bootPipe(b)
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	defer unix.Close(boot)
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open %s: %w", os.DevNull, err), ours.Close())
	}
	defer unix.Close(null)
	files := append([]int{null, child, child, boot}, listeners...)
	p, err := sp.execute(g, files, spec)
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	out := sp.output(id, b.Incarnation, ours)
	sp.wg.Go(out.read)
	return p, out, nil
}

func (sp *spawner) output(id string, inc uint64, file *os.File) *output {
	return &output{worker: id, inc: inc, keep: sp.log, show: sp.show, file: file, stopped: make(chan struct{})}
}

// execute starts the program itself, through the launcher where the kernel
// offers no other way to set what the pool asks for.
func (sp *spawner) execute(g *generation, files []int, spec control.PoolSpec) (proc.Process, error) {
	c := proc.Command{Path: g.binary.ExecPath(), Argv: g.argv, Env: workerEnv(g.env), Dir: g.dir, Files: files, NoNewPrivs: !spec.NewPrivileges}
	if _, err := os.Stat(g.dir); err != nil { // the kernel would name the program
		return nil, fmt.Errorf("working directory: %w", err)
	}
	if len(spec.Limits) == 0 && spec.RunAs == nil {
		return sp.cfg.Starter.Start(c)
	}
	// The launcher is the pinned binary itself, and so is what it executes.
	plan := launch.Plan{Path: "/proc/self/exe", Argv: c.Argv, Env: c.Env, Dir: c.Dir, Limits: spec.Limits, NoNewPrivs: c.NoNewPrivs}
	if as := spec.RunAs; as != nil {
		plan.User = &launch.User{UID: as.UID, GID: as.GID, Groups: as.Groups}
		plan.Env = ownEnv(plan.Env, as)
	}
	stage, err := launch.New(c.Path, plan, files)
	if err != nil {
		return nil, err
	}
	defer stage.Close()
	return sp.cfg.Starter.Start(proc.Command{Path: stage.Path, Argv: stage.Argv, Env: stage.Env, Dir: "/", Files: stage.Files})
}

// ownEnv tells a worker of another user who it is, as login(1) does.
func ownEnv(env []string, as *control.Identity) []string {
	set := map[string]string{"USER": as.Name, "LOGNAME": as.Name, "HOME": as.Home}
	var own []string
	for _, v := range env {
		if name, _, _ := strings.Cut(v, "="); set[name] == "" {
			own = append(own, v)
		}
	}
	for _, name := range []string{"USER", "LOGNAME", "HOME"} {
		if set[name] != "" {
			own = append(own, name+"="+set[name])
		}
	}
	return own
}

func workerEnv(base []string) []string {
	return append(append([]string(nil), base...), RoleVariable+"="+RoleWorker, BootVariable+"="+strconv.Itoa(bootFD))
}

// CleanEnv is env without what only one process may take from its parent.
func CleanEnv(env []string) []string {
	var kept []string
	for _, v := range env {
		switch name, _, _ := strings.Cut(v, "="); {
		case strings.HasPrefix(name, "NORESTART_"):
		case name == "LISTEN_PID", name == "LISTEN_FDS", name == "LISTEN_FDNAMES", name == "NOTIFY_SOCKET", name == "WATCHDOG_USEC", name == "WATCHDOG_PID":
		default:
			kept = append(kept, v)
		}
	}
	return kept
}

// bootPipe holds the boot message: it fits into a pipe, so nobody waits. The
// descriptor is for the child alone, and need not be known to the poller.
func bootPipe(b ipc.Boot) (fd int, err error) {
	data, err := ipc.Encode(b)
	if err != nil {
		return -1, fmt.Errorf("boot message: %w", err)
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, fmt.Errorf("boot pipe: %w", err)
	}
	n, err := unix.Write(p[1], data)
	if err == nil && n < len(data) {
		err = errors.New("message larger than a pipe")
	}
	if err = errors.Join(err, unix.Close(p[1])); err != nil {
		_ = unix.Close(p[0])
		return -1, fmt.Errorf("boot pipe: %w", err)
	}
	return p[0], nil
}

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
