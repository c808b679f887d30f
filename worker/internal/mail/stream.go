package mail

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
)

const bufferBytes = 64 << 10

// connect gets a stream and uses it to its end; greeted tells that the receiver
// has taken it.
func (p *peer) connect() (greeted bool, err error) {
	conn, lines, err := p.o.Dial(p.o.Living, p.slot, p.number)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(p.o.Living, func() { _ = conn.Close() })()
	p.mu.Lock()
	p.next, p.closing = 0, false
	p.mu.Unlock()
	ended := make(chan struct{})
	p.o.Go(func() {
		defer close(ended)
		p.readAnswers(bufio.NewReaderSize(conn, bufferBytes))
	})
	err = p.write(conn, lines, ended)
	_ = conn.Close() // it ends the other one
	<-ended
	return true, err
}

// write writes what is queued, up to the end of the stream.
func (p *peer) write(conn net.Conn, lines []uint64, ended <-chan struct{}) error {
	w := bufio.NewWriterSize(conn, bufferBytes)
	var batch []*letter
	for {
		if batch = p.unwritten(batch[:0], lines); len(batch) == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
			select {
			case <-p.wake:
				continue
			case <-ended:
				return nil
			}
		}
		for _, l := range batch {
			k := message
			if l.again {
				k = repeated
			}
			if err := writeFrame(w, k, l.seq, l.data); err != nil {
				return err
			}
		}
	}
}

// unwritten takes what is to be written to a receiver that has the marks of these
// lines.
func (p *peer) unwritten(batch []*letter, lines []uint64) []*letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return batch
	}
	for _, l := range p.queue[p.next:] {
		l.again = l.again || l.line != 0 && !slices.Contains(lines, l.line)
		l.line, l.sent = lines[0], true
		batch = append(batch, l)
	}
	p.next = len(p.queue)
	return batch
}

// readAnswers ends with the stream.
func (p *peer) readAnswers(r *bufio.Reader) {
	for {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		switch f.kind {
		case handled:
			p.handledUpTo(f.seq)
		case failed:
			p.failedAt(f)
		case closing:
			p.untouched()
			return
		}
	}
}

func (p *peer) handledUpTo(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.next > 0 && p.queue[0].seq <= seq {
		l := p.queue[0]
		p.remove(0)
		l.result <- nil
	}
}

func (p *peer) failedAt(f frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, l := range p.queue { // also of an earlier stream: it comes before it is sent again
		if l.seq == f.seq && l.sent {
			p.remove(i)
			l.result <- fmt.Errorf("message to %s: refused: %w", p.slot, f.err())
			return
		}
	}
}

// untouched notes that the receiver has not begun with what was written on this
// stream and is queued still.
func (p *peer) untouched() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	for _, l := range p.queue[:p.next] {
		l.line = 0
	}
}
