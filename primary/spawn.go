package primary

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
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
	RunVariable  = "NORESTART_RUN"     // the run directory of its cluster
	RoleWorker   = "worker"
)

// Descriptors of a worker beside stdin, stdout and stderr.
const (
	bootFD   = 3
	listenFD = 4 // and following
)

// process is one process of a slot, from the decision to start it to its exit.
type process struct {
	inc      uint64
	gen      int // generation
	since    time.Time
	handle   proc.Process // nil until it has been started
	former   []former     // its main processes before that one
	out      *output
	pending  syscall.Signal
	dropped  chan struct{} // closed if it is ended before it has been started
	conv     *conversation // nil until its hello
	peer     int           // pid that said hello
	beat     ipc.Beat
	heard    time.Time // of the last beat
	silent   bool
	gone     bool      // reaped, but not handled until its pool is complete
	closed   bool      // accepts no more connections
	leaving  bool      // it ends by itself
	told     bool      // another program: its stop signal has been sent
	gate     chan int  // the pipe of a launcher that waits; nil: there is none
	asked    bool      // another program: to end
	avoided  bool      // no new connections for its slot, while it is told to end
	port     int       // private, that it was told; 0: not known
	private  string    // where it is reached, under control.ShareRelay
	status   string    // what it says of itself
	spoke    bool      // it has said that to this primary
	failure  string    // of the last probe whether it is ready
	probed   time.Time // when that was
	extended time.Time // it asked for time to start, or to end, until then
	// reloading is since when it takes in its configuration anew; zero: it does not.
	reloading time.Time
	overdue   bool   // that takes longer than ready_timeout
	orphaned  bool   // it ends for lack of a primary, or may do so: it has not said hello to this one
	early     bool   // it was ready before we knew that it runs
	unsure    bool   // adopted while it was starting: it may have said that it is ready
	reason    string // why we ended it
	timers    []*time.Timer
	cut       time.Time // the deadline of its drain; zero: none
	memory    int64     // when it was measured last
	light     bool      // it was within the limit before
	heavy     time.Time // since when that is above the limit; zero: it is not

	left      map[uint64]bool          // by incarnation, the workers of the relay that need it no more
	upstreams map[string]ipc.Upstreams // of a worker of the relay, by pool, what it was told

	prepared   bool // it waits for the state of its predecessor
	introduced bool // to that one: if it is ready, it has the state

	group       proc.Cgroup // its control group; empty: ours
	descendants []proc.ID   // as far as known; empty if it has a group
}

// forget stops the timers of a process that has gone: those of short-lived ones
// would add up, each for half a minute.
func (r *process) forget() {
	for _, t := range r.timers {
		t.Stop()
	}
	r.letIn(false)
}

func (r *process) pid() int {
	if r.handle == nil {
		return 0
	}
	return r.handle.PID()
}

// signal sends sig to the group of a process. One that is being started gets it
// as soon as possible; one that waits for its start is not started.
func (s *slot) signal(inc uint64, sig syscall.Signal) {
	r := s.processes[inc]
	switch {
	case r == nil:
	case r.handle == nil:
		if r.pending == 0 {
			close(r.dropped)
		}
		r.pending = sig
	default:
		_ = r.handle.Signal(sig)
	}
}

// spawner starts processes beside the loop, a few at a time: a start is work for
// the processor, and more at once only delay each other.
type spawner struct {
	cfg   Config
	key   []byte
	log   *eventLog[control.LogLine]
	show  func(worker, text string)
	turns chan struct{}
	wg    sync.WaitGroup
	group proc.Cgroup // ours, if it may be divided

	workers *admission
}

// start begins a process of a slot; the result comes as events.
func (l *loop) start(s *slot, inc uint64, gen int) {
	r := &process{inc: inc, gen: gen, since: time.Now(), dropped: make(chan struct{})}
	s.processes[inc] = r
	g := s.pool.generation(gen)
	err := s.pool.listen(gen) // open, unless this process is the first that needs it
	equip := func() (equipment, error) { return equipment{}, err }
	if err == nil {
		equip = s.pool.protocol.equip(l, s, r)
	}
	spec, id, post, sp, release := g.within(s.pool.spec), s.id(), l.post, l.spawn, s.holdOpen()
	sp.wg.Go(func() {
		group := sp.groupFor(s, inc)
		p, out, err := sp.inTurn(r.dropped, func() (proc.Process, *output, error) { return sp.spawn(g, equip, spec, id, inc, group) })
		release()
		if err != nil {
			_ = group.Remove() // an empty directory does no harm
			post(func(l *loop) { l.spawnFailed(s, inc, err) })
			return
		}
		ended := sp.workers.worker(p.PID(), id, spec.Name == sp.cfg.Spec.Admin)
		if !group.Holds(p.PID()) && group.Remove() == nil {
			group = "" // it was started without, or has gone and left nothing
		}
		w := &tracked{Process: p}
		post(func(l *loop) {
			s.processes[inc].group = group
			l.started(s, inc, w, out)
		})
		await(s, inc, w, out, ended, post)
	})
}

var errDropped = errors.New("it is no longer wanted")

// inTurn calls start when it is its turn, unless it is dropped before.
func (sp *spawner) inTurn(dropped <-chan struct{}, start func() (proc.Process, *output, error)) (proc.Process, *output, error) {
	select {
	case sp.turns <- struct{}{}:
	case <-dropped:
		return nil, nil, errDropped
	}
	defer func() { <-sp.turns }()
	return start()
}

// holdOpen keeps open what a process of the slot gets.
func (s *slot) holdOpen() (release func()) {
	sockets, descriptors := s.pool.hold(), s.holdStored()
	return func() {
		sockets()
		descriptors()
	}
}

// hold keeps the sockets of a pool open for a caller that has their numbers.
func (p *pool) hold() (release func()) {
	var all []func()
	for _, q := range append([]*pool{p}, p.keeps...) {
		for _, o := range q.open {
			all = append(all, o.group.Hold())
		}
	}
	return func() {
		for _, release := range all {
			release()
		}
	}
}

// groupFor is the control group for one process and its descendants; empty if
// there can be none.
func (sp *spawner) groupFor(s *slot, inc uint64) proc.Cgroup {
	if s.pool.spec.KillGroup == control.KillOwnGroup {
		return ""
	}
	return sp.group.Child(fmt.Sprintf("norestart.%s.%s.%d.%d", sp.cfg.Spec.Name, s.pool.spec.Name, s.index, inc))
}

// watch follows a process that was started elsewhere to its end.
func (l *loop) watch(s *slot, inc uint64, p proc.Process, out *output) {
	post, w := l.post, &tracked{Process: p}
	s.processes[inc].handle = w
	ended := l.spawn.workers.worker(p.PID(), s.id(), s.pool.spec.Name == l.cfg.Spec.Admin)
	l.spawn.wg.Go(func() { await(s, inc, w, out, ended, post) })
}

// await tells the loop of the end of a process. The exit is the end of its
// output.
func await(s *slot, inc uint64, w *tracked, out *output, ended func(), post func(event) bool) {
	exit := <-w.Wait()
	ended()
	if w.replaced.Load() {
		return
	}
	why, lines := out.finish()
	post(func(l *loop) { l.exited(s, inc, exit, why, lines) })
}

// secret proves in a hello that the primary started the process, and as what.
func secret(key []byte, worker string, gen int, inc uint64) []byte {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s %d %d", worker, gen, inc)
	return h.Sum(nil)
}

func (sp *spawner) spawn(g *generation, equip func() (equipment, error), spec control.PoolSpec, id string, inc uint64, group proc.Cgroup) (proc.Process, *output, error) {
	ours, std, err := openStandard(spec)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(std[0])
	defer unix.Close(std[1])
	e, err := equip()
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	defer e.close()
	e.files = append([]int{std[0], std[1], std[1]}, e.files...)
	p, err := sp.execute(g, e, spec, group)
	if err != nil && group != "" { // the group may be the reason
		p, err = sp.execute(g, e, spec, "")
	}
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	out := sp.output(id, inc, ours)
	out.awaits = e.awaits
	if spec.TTY {
		out.screen = newScreen()
	}
	sp.wg.Go(out.read)
	return p, out, nil
}

// openStandard opens the output of a new process, and what it reads and writes:
// nothing and the pipe, or its terminal for both.
func openStandard(spec control.PoolSpec) (ours *os.File, std [2]int, err error) {
	open := openOutput
	if spec.TTY {
		open = openTerminal
	}
	ours, out, err := open()
	if err != nil {
		return nil, std, fmt.Errorf("open the output: %w", err)
	}
	in := -1
	if spec.TTY {
		in, err = unix.FcntlInt(uintptr(out), unix.F_DUPFD_CLOEXEC, 0)
	} else {
		in, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, std, errors.Join(fmt.Errorf("open the input: %w", err), unix.Close(out), ours.Close())
	}
	if as := spec.RunAs; as != nil { // it needs the right to open /dev/stdout
		err = unix.Fchown(out, int(as.UID), int(as.GID))
	}
	if err != nil {
		return nil, std, errors.Join(fmt.Errorf("give the output away: %w", err), unix.Close(in), unix.Close(out), ours.Close())
	}
	return ours, [2]int{in, out}, nil
}

func (sp *spawner) output(id string, inc uint64, file *os.File) *output {
	return &output{worker: id, inc: inc, keep: sp.log, show: sp.show, file: file, stopped: make(chan struct{})}
}

// execute starts the program itself, through the launcher if the kernel offers no
// other way to set what the pool asks for.
func (sp *spawner) execute(g *generation, e equipment, spec control.PoolSpec, group proc.Cgroup) (proc.Process, error) {
	told := e.withPort(g.program)
	c := proc.Command{Path: g.execPath(), Argv: told.argv, Env: append(slices.Clone(told.env), e.env...), Dir: told.dir, Files: e.files, NoNewPrivs: !spec.NewPrivileges, Terminal: spec.TTY, Cgroup: group}
	if _, err := os.Stat(g.dir); err != nil { // the kernel would name the program
		return nil, fmt.Errorf("working directory: %w", err)
	}
	if len(spec.Limits) == 0 && spec.RunAs == nil && e.gate == 0 && e.supervise == nil && spec.Umask == nil && spec.Nice == 0 {
		return sp.cfg.Starter.Start(c)
	}
	// The launcher is a program of norestart: the pinned one itself, which then
	// executes itself again, or that of the primary.
	launcher, path, pinned := c.Path, "/proc/self/exe", 0
	if spec.Program != nil {
		launcher, path = path, c.Path
		if !g.script && !g.binary.Current() {
			path, pinned = "", g.binary.FD()
		}
	}
	plan := launch.Plan{Path: path, Argv: c.Argv, Env: c.Env, Dir: c.Dir, Listen: e.listen, ListenEnv: spec.ListenEnv, Gate: e.gate > 0, Limits: spec.Limits, Umask: spec.Umask, Nice: spec.Nice, NoNewPrivs: c.NoNewPrivs, Seize: e.supervise != nil}
	if as := spec.RunAs; as != nil {
		plan.User = &launch.User{UID: as.UID, GID: as.GID, Groups: as.Groups}
		plan.Env = ownEnv(plan.Env, as)
	}
	if pinned > 0 { // behind all that the launcher itself needs, which the program does not get
		plan.Path = procFD(len(e.files) + plan.Own())
	}
	stage, err := launch.New(launcher, plan, e.files)
	if err != nil {
		return nil, err
	}
	defer stage.Close()
	if e.gate > 0 {
		stage.Files = append(stage.Files, e.gate)
	}
	if pinned > 0 {
		stage.Files = append(stage.Files, pinned)
	}
	p, err := sp.cfg.Starter.Start(proc.Command{Path: stage.Path, Argv: stage.Argv, Env: stage.Env, Dir: "/", Files: stage.Files, Terminal: spec.TTY, Cgroup: group})
	if err == nil && plan.Seize {
		notify, err := stage.Notify(time.Now().Add(launchTimeout))
		switch {
		case err == nil:
			e.supervise(notify)
		case !errors.Is(err, io.EOF): // else its last line says why it has ended
			_ = p.Signal(sigKill)
		}
	}
	return p, err
}

// launchTimeout is how long a launcher may take to begin to be supervised.
const launchTimeout = 20 * time.Second

// ownEnv tells a worker of another user its user, as login(1) does.
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

// CleanEnv is env without the variables that only one process may take from its
// parent.
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

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
