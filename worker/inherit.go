package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// A module's state comes from the worker that serves in the slot, over a
// conversation of the two of them alone, which the primary makes:
//
//	successor                         predecessor
//	    │ prepared, to the primary ──► yield: takes no more work, BeforeReload
//	    │ ◄── state … state (last) ────────┤
//	  AfterReload                          │
//	    │ ─── taken, or refused ──────────►│ refused, or no answer: Resume
//	    │ ◄── yours ───────────────────────┤
//	  serves                               │
//	    │ ─── ready ──────────────────────►│ its connections follow
//
// Invariant: the state has one owner. Until `yours` is sent that is the
// predecessor, which takes work again if the successor ends before it retires.

// inheritance is what came from the predecessor; nil: nothing.
type inheritance struct {
	conn   *ipc.Conn
	states map[string]*inherited
	alive  []int // what the predecessor sees closed when this process ends
	once   sync.Once
	lent   bool // the predecessor went on: the state is its own again
	held   time.Time
}

type inherited struct {
	State
	reloads int
}

// maxAsked is how often a predecessor is asked that says nothing: it ended, or
// knows no modules.
const maxAsked = 3

// inherit asks for the state of the predecessor.
func (w *Worker) inherit() (*inheritance, error) {
	if !w.boot.Introduces {
		fmt.Println("modules begin without a state: this primary does not hand it over")
		return nil, nil
	}
	for range maxAsked {
		conn, err := w.askForState()
		if conn == nil || err != nil {
			return nil, err
		}
		in, err := receiveStates(w.serving, conn)
		if !errors.Is(err, io.EOF) {
			return in, err
		}
	}
	fmt.Println("modules begin without a state: the worker before has none, or has just ended")
	return nil, nil
}

// askForState waits for the introduction to the predecessor; nil: there is none.
// A primary that is replaced meanwhile is asked again by the hello to the next.
func (w *Worker) askForState() (*ipc.Conn, error) {
	w.modules.waiting.Store(true)
	defer w.modules.waiting.Store(false)
	_ = w.link.send(ipc.TypePrepared, nil) // as above
	select {
	case conn := <-w.modules.comes:
		return conn, nil
	case <-w.serving.Done():
		return nil, w.serving.Err()
	}
}

// introduced is called for the message of the primary.
func (w *Worker) introduced(conn *ipc.Conn) {
	if w.modules.waiting.Swap(false) {
		w.modules.comes <- conn
	} else if conn != nil {
		_ = conn.Close() // the predecessor goes on
	}
}

// receiveStates reads them all; io.EOF if the predecessor sends none.
func receiveStates(ctx context.Context, conn *ipc.Conn) (*inheritance, error) {
	in := &inheritance{conn: conn, states: make(map[string]*inherited)}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for {
		m, err := conn.Receive(0)
		if err == nil {
			err = in.receive(&m)
			m.Discard()
		}
		switch {
		case err == nil && in.complete():
			return in, nil
		case errors.Is(err, io.EOF) && len(in.states) > 0:
			err = errors.New("the worker before ended while it handed over its state")
		case err == nil:
			continue
		}
		in.close()
		return nil, err
	}
}

func (in *inheritance) complete() bool { return !in.held.IsZero() }

func (in *inheritance) receive(m *ipc.Message) error {
	var s ipc.State
	switch {
	case m.Type == ipc.TypeRefused:
		e := &control.Error{}
		if err := m.Decode(e); err != nil {
			return err
		}
		return fmt.Errorf("the worker before goes on: %s", e.Message)
	case m.Type != ipc.TypeState:
		return fmt.Errorf("%s where a state belongs", m.Type)
	case m.Short():
		return errors.New("receive the state: no descriptors left")
	}
	if err := m.Decode(&s); err != nil {
		return err
	}
	if s.Last {
		in.alive, in.held = m.Files(), s.Held
		return nil
	}
	one := in.states[s.Module]
	if one == nil {
		one = &inherited{State: State{Version: s.Version, Data: s.Data}, reloads: s.Reloads}
		in.states[s.Module] = one
	}
	var files []*os.File
	for _, fd := range m.Files() {
		files = append(files, os.NewFile(uintptr(fd), "state"))
	}
	if s.Size > 0 && len(files) > 0 {
		data, err := fromMemory(files[0], s.Size)
		_ = files[0].Close() // it was read, or is of no use
		if one.Data, files = data, files[1:]; err != nil {
			return fmt.Errorf("state of module %s: %w", s.Module, err)
		}
	}
	one.Files = append(one.Files, files...)
	return nil
}

func (in *inheritance) state(module string) *State {
	if in == nil || in.states[module] == nil {
		return nil
	}
	return &in.states[module].State
}

func (in *inheritance) reloads(module string) int { return in.states[module].reloads }

// yoursWithin is how long the predecessor may take to say that the state is ours.
const yoursWithin = 10 * time.Second

// take tells the predecessor which modules go on here, and makes the state ours.
func (in *inheritance) take(all []*module) error {
	if in == nil {
		return nil
	}
	t := ipc.Taken{Modules: []string{}}
	for _, m := range all {
		if in.states[m.name] != nil {
			t.Modules = append(t.Modules, m.name)
		}
	}
	for name := range in.states {
		if !slices.Contains(t.Modules, name) {
			fmt.Printf("module %s: its state is given up: this version has no such module\n", name)
		}
	}
	err := in.conn.Send(ipc.SendTimeout, ipc.TypeTaken, t)
	if err == nil {
		var m ipc.Message
		if m, err = in.conn.Receive(yoursWithin); err == nil && m.Type != ipc.TypeYours {
			err = fmt.Errorf("%s", m.Type)
		}
		m.Discard()
	}
	if err != nil {
		in.close()
		return fmt.Errorf("the worker before goes on with its state: %w", err)
	}
	return nil
}

// refuse tells the predecessor why it goes on.
func (in *inheritance) refuse(why error) {
	if in != nil {
		_ = in.conn.Send(ipc.SendTimeout, ipc.TypeRefused, ipc.FailureOf(why)) // its end tells as well
		in.close()
	}
}

// giveBack lets the predecessor go on, unless it was asked to end.
func (in *inheritance) giveBack() {
	in.once.Do(func() {
		for _, fd := range in.alive {
			in.lent = in.lent || isRead(fd)
			_ = unix.Close(fd)
		}
	})
}

// isRead reports whether a pipe has a reader: the predecessor closes its end when
// it is asked to go.
func isRead(fd int) bool {
	ends := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	_, err := unix.Poll(ends, 0)
	return err == nil && ends[0].Revents&unix.POLLERR == 0
}

// close ends the handover; the predecessor sees it.
func (in *inheritance) close() {
	if in == nil {
		return
	}
	_ = in.conn.Close() // nothing is lost by it
	in.giveBack()
	for _, s := range in.states {
		s.close()
	}
}
