package primary

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// generation is one version of a pool's code with all that is needed to start it
// again, whatever the file on disk is by then.
type generation struct {
	number int
	binary *proc.Binary
	program
	script bool     // started by its path: an interpreter cannot open our descriptor
	listen []string // addresses, each of which may begin with NAME=
	since  time.Time
	of     int       // the generation whose content a rollback copied; 0: none
	kept   string    // a file of the state directory that is the binary; empty: none
	made   *settings // nil: not known
	build  *build    // nil: not known
	looked bool      // its build was read

	outcome control.Outcome
	why     string
	decided time.Time // when the outcome was decided
}

func (g *generation) close() { _ = g.binary.Close() }

func (g *generation) same(o *generation) bool {
	return g.sameFile(o) && slices.Equal(g.argv, o.argv) && slices.Equal(g.env, o.env) && g.dir == o.dir
}

func (g *generation) sameFile(o *generation) bool {
	gd, gi := g.binary.Identity()
	od, oi := o.binary.Identity()
	return gd == od && gi == oi
}

// generationsDir holds the binaries of the kept generations.
const generationsDir = "generations"

// keep makes the binary of a generation outlive this process and its file: by a
// link, which costs nothing, or by a copy if the state directory is on another
// file system.
func (g *generation) keep(state, pool string) error {
	dir := filepath.Join(state, generationsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, pool+"-"+strconv.Itoa(g.number))
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	pinned := procFD(g.binary.FD())
	err := unix.Linkat(unix.AT_FDCWD, pinned, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		err = copyBinary(pinned, path)
	}
	if err != nil {
		return fmt.Errorf("keep the binary of generation %d: %w", g.number, err)
	}
	g.kept = path
	return nil
}

func copyBinary(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	if err = room(in, out); err == nil {
		_, err = io.Copy(out, in)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		err = errors.Join(err, os.Remove(to))
	}
	return err
}

// room allocates a copy of in at once, where the file system can: a nearly full
// one is not filled up in vain.
func room(in, out *os.File) error {
	info, err := in.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	err = unix.Fallocate(int(out.Fd()), 0, 0, info.Size())
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// forget removes a generation for good.
func (g *generation) forget() {
	g.close()
	if g.kept != "" {
		_ = os.Remove(g.kept)
	}
}

func (g *generation) copy() (*generation, error) {
	fd, err := unix.FcntlInt(uintptr(g.binary.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	b, err := proc.PinFD(fd, g.binary.Path())
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &generation{
		binary: b, program: g.program, script: g.script, since: time.Now(), of: g.root(), build: g.build,
		made: g.made, listen: g.listen, // of another program they belong to the content
	}, nil
}

// within is how a process of the generation is started. All that a reload reads of
// another program is part of its generation; what an older primary has started
// gets what the pool says.
func (g *generation) within(spec control.PoolSpec) control.PoolSpec {
	if spec.Program != nil && g != nil && g.made != nil {
		return g.as(spec)
	}
	return spec
}

// told is what a process of the generation is told; what an older primary has
// started gets what the pool says.
func (g *generation) told(p *pool) []byte {
	if g != nil && g.made != nil && g.made.Told != nil {
		return g.made.Told
	}
	return p.told
}

// keptGenerations is how many generations of a pool stay executable.
const keptGenerations = 3

func (p *pool) generation(number int) *generation {
	for _, g := range p.generations {
		if g.number == number {
			return g
		}
	}
	return nil
}

// addGeneration adds a generation. The caller tidies up once the record is
// written: files that a record names must exist.
func (l *loop) addGeneration(p *pool, g *generation) {
	p.lastGen, g.number = p.lastGen+1, p.lastGen+1
	if g.outcome = control.Undecided; g.made == nil || p.spec.Program == nil {
		g.made, g.listen = settingsOf(p.spec, p.told), p.spec.Listen
	}
	p.generations = append(p.generations, g)
	if err := g.keep(l.cfg.State, p.spec.Name); err != nil {
		l.tell(control.Event{Kind: control.EventPoolTrouble, Text: fmt.Sprintf("pool %s: %v", p.spec.Name, err)})
	}
}

// keepAgain keeps binaries whose files have gone: a primary was killed while it
// removed them, or somebody else removed them.
func (l *loop) keepAgain(p *pool) {
	for _, g := range p.generations {
		if g.kept == "" {
			continue
		}
		if _, err := os.Lstat(g.kept); err == nil {
			continue
		}
		g.kept = ""
		if err := g.keep(l.cfg.State, p.spec.Name); err != nil {
			l.tell(control.Event{Kind: control.EventPoolTrouble, Text: fmt.Sprintf("pool %s: %v", p.spec.Name, err)})
		}
	}
}

// tidy forgets generations above the number to keep: first those that were given
// up, then those with a later copy, then the oldest.
func (p *pool) tidy() {
	for _, forgettable := range []func(*generation) bool{
		(*generation).givenUp,
		p.copied,
		func(*generation) bool { return true },
	} {
		for i := 0; len(p.generations) > keptGenerations && i < len(p.generations); {
			g := p.generations[i]
			if g.number == p.lastGen || p.uses(g.number) || !forgettable(g) {
				i++
				continue
			}
			g.forget()
			p.generations = slices.Delete(p.generations, i, i+1)
		}
	}
}

// uses reports whether a generation is in use or may have to be started again.
func (p *pool) uses(number int) bool {
	if c := p.reloading(); number == p.gen || c != nil && number == c.To {
		return true
	}
	return p.has(func(r *process) bool { return r.gen == number && !r.closed }) || slices.ContainsFunc(p.slots, func(s *slot) bool {
		return s.gen == number || s.cur.gen == number || s.next.gen == number || s.coming.gen == number
	})
}

// rollback begins a new generation of a pool with the content of an earlier one:
// of that number, or of the last good one.
func (l *loop) rollback(r control.RollbackRequest, owner string) (*job, error) {
	p, err := l.rollbackPool(r.Pool)
	if err != nil {
		return nil, err
	}
	g, err := p.rollbackTo(r.Generation)
	if err != nil {
		return nil, err
	}
	again, err := g.copy()
	if err != nil {
		return nil, fmt.Errorf("rollback: %w", err)
	}
	w := &reloadJob{todo: []*poolReload{newReload(p, again, control.ReloadRequest{Watch: control.NoWatch})}} // it goes back, and does not watch
	w.errands.over = true                                                                                    // what it goes back to has served
	j, err := l.begin(kindRollback, fmt.Sprintf("%s to generation %d", p.spec.Name, g.number), owner, []*pool{p}, w)
	if err != nil {
		again.close()
	}
	return j, err
}

func (l *loop) rollbackPool(name string) (*pool, error) {
	if name != "" {
		return l.pool(name)
	}
	pools, err := l.reloadable(nil)
	if err == nil && len(pools) != 1 {
		err = &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("there are %d pools: name one", len(pools)), Hint: "generation list"}
	}
	if err != nil {
		return nil, err
	}
	return pools[0], nil
}

func (p *pool) rollbackTo(number int) (*generation, error) {
	g, why := p.back(), p.noWayBack()
	if number != 0 {
		g, why = p.generation(number), fmt.Sprintf("generation %d of %s is not kept", number, p.spec.Name)
	}
	if g == nil {
		return nil, &control.Error{Code: control.ErrNoGeneration.Code, Message: why, Hint: control.ErrNoGeneration.Hint}
	}
	return g, nil
}

func (l *loop) generationList() []control.GenerationInfo {
	all := []control.GenerationInfo{}
	for _, p := range l.pools {
		for _, g := range p.generations {
			info := control.GenerationInfo{
				Pool: p.spec.Name, BuiltIn: p.spec.BuiltIn, Number: g.number, Since: g.since, Path: g.binary.Path(),
				Current: g.number == p.gen, GivenUp: g.givenUp(), Kept: control.KeptNo,
				Outcome: g.outcome, Why: g.why, Decided: g.decided, CopyOf: g.of,
			}
			switch {
			case g.script:
				info.Kept = control.KeptDirectory
			case g.kept != "":
				info.Kept = control.KeptBinary
			}
			if b := g.build; b != nil {
				info.Digest, info.Revision, info.FileTime = b.Digest, b.Revision, b.Time
			}
			for _, s := range p.slots {
				if s.cur.some() && s.cur.gen == g.number {
					info.Workers++
				}
			}
			all = append(all, info)
		}
	}
	return all
}
