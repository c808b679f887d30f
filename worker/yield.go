package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// yielding is how far this worker is with handing its state to a successor; mu is
// a leaf.
type yielding struct {
	mu     sync.Mutex
	active bool
	gone   []string // modules whose state is the successor's
}

func (y *yielding) begin() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	was := y.active
	y.active = true
	return !was
}

func (y *yielding) set(active bool, gone []string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.active, y.gone = active, gone
}

func (y *yielding) has(module string) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Contains(y.gone, module)
}

const (
	// holdWithin is how long requests that are under way may take to end before a
	// state is handed over.
	holdWithin = 10 * time.Second
	// inlineState is how large a state may be to go in its message.
	inlineState = 64 << 10
	// filesPerMessage is how many descriptors go with one: those in flight are
	// limited (ETOOMANYREFS, unix(7)).
	filesPerMessage = 32
)

// yield hands the state of all modules to the successor at the other end of conn.
// Whatever fails, this worker goes on with its work.
func (w *Worker) yield(conn *ipc.Conn) {
	if w.serving.Err() != nil || !w.modules.ahead.begin() {
		_ = conn.Close() // it ends by itself, or another successor decides
		return
	}
	w.modules.busy.Lock()
	defer w.modules.busy.Unlock()
	y := &handing{w: w, conn: conn}
	if !slices.ContainsFunc(w.modules.list(), func(m *module) bool { return m.BeforeReload != nil }) {
		_ = y.send(ipc.State{Last: true, Held: time.Now()}) // its end tells as well
		w.modules.ahead.set(false, nil)
		_ = conn.Close() // all was said
		return
	}
	err := y.give()
	if err == nil {
		err = y.watch()
	}
	y.alive.close()
	if err != nil {
		y.takeBack(err)
	}
}

// handing is one attempt.
type handing struct {
	w      *Worker
	conn   *ipc.Conn
	asked  []*module // those whose BeforeReload was called
	states []State
	alive  pipe // the successor has the other end while it lives
	room   map[*module]*os.File
}

// give is all up to the word that the state is the successor's.
func (y *handing) give() error {
	defer y.closeStates()
	stop := context.AfterFunc(y.w.serving, func() { _ = y.conn.CloseRead() })
	defer stop()
	y.makeRoom()
	defer y.closeRoom()
	held := time.Now()
	ctx, cancel := context.WithTimeout(y.w.serving, holdWithin)
	defer cancel()
	err := y.w.connections.Hold(ctx, y.conn)
	if err == nil {
		err = y.collect()
	}
	if err == nil {
		err = y.sendAll(held)
	}
	if err != nil {
		_ = y.conn.Send(ipc.SendTimeout, ipc.TypeRefused, ipc.FailureOf(err)) // its end tells as well
		return err
	}
	return y.answer(stop)
}

func (y *handing) collect() error {
	for _, m := range y.w.modules.list() {
		if m.BeforeReload == nil {
			continue
		}
		var s State
		y.asked = append(y.asked, m)
		err := m.call(y.w.serving, "BeforeReload", func(ctx context.Context) (err error) {
			s, err = m.BeforeReload(ctx)
			return err
		})
		if err != nil {
			return err
		}
		s.Version = m.Version
		y.states = append(y.states, s)
	}
	return nil
}

func (y *handing) closeStates() {
	for _, s := range y.states {
		s.close()
	}
}

func (y *handing) sendAll(held time.Time) error {
	for i, s := range y.states {
		if err := y.sendState(y.asked[i], s); err != nil {
			return y.asked[i].fail("send the state", err)
		}
	}
	child, err := y.alive.open()
	if err != nil {
		return err
	}
	defer child.Close()
	return y.send(ipc.State{Last: true, Held: held}, child)
}

// makeRoom reserves memory for states as large as those with which the modules
// began, while requests are still answered.
func (y *handing) makeRoom() {
	y.room = make(map[*module]*os.File)
	for _, m := range y.w.modules.list() {
		if m.began > inlineState && m.BeforeReload != nil {
			if f, err := reserve(y.w.serving, m.began); err == nil { // else it is tried again when the state is there
				y.room[m] = f
			}
		}
	}
}

func (y *handing) closeRoom() {
	for _, f := range y.room {
		_ = f.Close() // nothing was sent in it
	}
}

// memory is for the state of a module.
func (y *handing) memory(m *module) (*os.File, error) {
	if f := y.room[m]; f != nil {
		delete(y.room, m)
		return f, nil
	}
	return Memory("state")
}

func (y *handing) sendState(m *module, s State) error {
	one := ipc.State{Module: m.name, Version: s.Version, Data: s.Data, Reloads: m.info.Reloads}
	files := slices.Clone(s.Files)
	if len(s.Data) > inlineState {
		f, err := y.memory(m)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := seal(f, s.Data); err != nil {
			return err
		}
		one.Data, one.Size = nil, int64(len(s.Data))
		files = slices.Insert(files, 0, f)
	}
	for {
		part := files[:min(len(files), filesPerMessage)]
		files = files[len(part):]
		one.More = len(files) > 0
		if err := y.send(one, part...); err != nil || !one.More {
			return err
		}
		one.Data, one.Size = nil, 0
	}
}

// send waits while too many descriptors of the user are in flight.
func (y *handing) send(s ipc.State, files ...*os.File) error {
	var fds []int
	for _, f := range files {
		fd, err := inherit.RawFD(f)
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	defer runtime.KeepAlive(files)
	for end := time.Now().Add(ipc.SendTimeout); ; {
		err := y.conn.Send(ipc.SendTimeout, ipc.TypeState, s, fds...)
		if !errors.Is(err, unix.ETOOMANYREFS) || time.Now().After(end) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// answer waits for the successor's hooks. That one has as long as ours would need,
// and a moment more; the primary ends it before if it is not ready in time.
// stop ends what a drain does to the conversation; false: it has begun.
func (y *handing) answer(stop func() bool) error {
	within := yoursWithin
	for _, m := range y.w.modules.list() {
		within += m.timeout()
	}
	m, err := y.conn.Receive(within)
	if err != nil {
		return fmt.Errorf("the successor does not say that it has the state: %w", err)
	}
	defer m.Discard()
	switch m.Type {
	case ipc.TypeRefused:
		e := &control.Error{}
		return errors.Join(m.Decode(e), errors.New(e.Message))
	case ipc.TypeTaken:
	default:
		return fmt.Errorf("the successor says %s", m.Type)
	}
	var t ipc.Taken
	if err := m.Decode(&t); err != nil {
		return err
	}
	if !stop() {
		return y.w.serving.Err() // we were asked to end, with our state
	}
	if err := y.conn.Send(ipc.SendTimeout, ipc.TypeYours, nil); err != nil {
		return err
	}
	y.w.modules.ahead.set(true, append([]string{}, t.Modules...))
	return nil
}

// watch gives the successor the connections when it serves, and returns nil when
// this worker drains, or an error when the successor has ended before.
func (y *handing) watch() error {
	ended := make(chan struct{})
	y.w.wg.Go(func() {
		y.alive.wait()
		close(ended)
	})
	y.w.wg.Go(func() {
		if m, err := y.conn.Receive(0); err == nil && m.Type == ipc.TypeReady {
			m.Discard()
			y.w.mail.letGo()
			y.w.connections.Release()
		}
	})
	select {
	case <-ended:
		if y.w.serving.Err() != nil {
			return nil
		}
		return errors.New("the successor ended before it took over")
	case <-y.w.serving.Done():
		return nil
	}
}

// takeBack goes on with the work.
func (y *handing) takeBack(why error) {
	fmt.Printf("modules go on here: %v\n", why)
	for _, m := range y.asked {
		y.w.modules.note(m, func(i *control.ModuleInfo) { i.Failures++ })
		if m.Resume == nil {
			continue
		}
		if err := m.call(y.w.working, "Resume", m.Resume); err != nil {
			fmt.Println(err)
			y.w.Leave() // it cannot go on with what it has
		}
	}
	y.w.modules.ahead.set(false, nil)
	y.w.connections.Resume()
	y.w.mail.resume()
}

// pipe tells the end of another process.
type pipe struct{ ours *os.File }

func (p *pipe) open() (theirs *os.File, err error) {
	p.ours, theirs, err = os.Pipe()
	return theirs, err
}

func (p *pipe) wait() {
	if p.ours != nil {
		_, _ = p.ours.Read(make([]byte, 1)) // nothing is ever written
	}
}

func (p *pipe) close() {
	if p.ours != nil {
		_ = p.ours.Close() // it ends wait
	}
}
