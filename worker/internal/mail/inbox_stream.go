package mail

import (
	"bufio"
	"net"
	"time"

	"github.com/norestart/norestart/internal/ipc"
)

// inStream is one connection of a sender.
type inStream struct {
	in     *Inbox
	conn   net.Conn
	sender *sender
	wake   chan struct{} // size 1: there is something to write

	answered uint64 // up to here, when it is written
	news     bool
	failures []failure
	closing  bool
}

func (st *inStream) answer(f *failure) {
	if f != nil {
		st.failures = append(st.failures, *f)
	}
	st.answered, st.news = st.sender.mark, true
	st.stir()
}

func (st *inStream) close() {
	st.closing = true
	st.stir()
}

func (st *inStream) stir() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (st *inStream) read() {
	r := bufio.NewReaderSize(st.conn, bufferBytes)
	for {
		f, err := readFrame(r)
		if err != nil || (f.kind != message && f.kind != repeated) || !st.received(f) {
			return
		}
	}
}

// received takes a message when there is room; false if the stream is to end.
func (st *inStream) received(f frame) bool {
	in, s := st.in, st.sender
	in.mu.Lock()
	defer in.mu.Unlock()
	for s.stream == st && s.full() && !in.ended && !in.away() {
		in.room.Wait()
	}
	switch {
	case s.stream != st:
		return false
	case in.ended || in.away(): // it is not taken up, and the writer says so
	case f.seq <= s.mark: // the answer was lost
		st.answer(s.failed(f.seq))
	case f.seq > s.last:
		m := &Message{
			From: s.from, Incarnation: s.id.Incarnation, Seq: f.seq, Data: f.data, Redelivered: f.kind == repeated,
			in: in, sender: s,
		}
		s.queue, s.last = append(s.queue, m), f.seq
		s.bytes += cost(m.Data)
		in.stir(s)
	}
	return true
}

// write writes answers, until the stream is closed and the last one is written.
func (st *inStream) write() {
	defer st.conn.Close()
	w := bufio.NewWriterSize(st.conn, bufferBytes)
	for range st.wake {
		failures, answered, last := st.unwritten()
		_ = st.conn.SetWriteDeadline(time.Now().Add(ipc.SendTimeout)) // Flush returns it, too
		for _, f := range failures {
			_ = writeFrame(w, failed, f.Seq, f.Data) // Flush returns it
		}
		if answered > 0 {
			_ = writeFrame(w, handled, answered, nil)
		}
		if last {
			_ = writeFrame(w, closing, 0, nil)
		}
		if w.Flush() != nil || last {
			return
		}
	}
}

// unwritten are failures, up to which message all the others went well (0: nothing
// new), and whether the stream is closed after that.
func (st *inStream) unwritten() (failures []failure, answered uint64, last bool) {
	st.in.mu.Lock()
	defer st.in.mu.Unlock()
	if st.news {
		answered = st.answered
	}
	failures = st.failures
	st.failures, st.news = nil, false
	return failures, answered, st.closing
}

// end is for a stream that has ended, whoever ended it.
func (st *inStream) end() {
	in := st.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if s := st.sender; s != nil && s.stream == st {
		s.stream = nil
		s.clear()
	}
	st.close() // it ends the writer
	in.room.Broadcast()
}
