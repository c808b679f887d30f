package mail

// Marks are what an inbox remembers for its successor.
type Marks struct {
	Lines   []uint64 `cbor:"lines"`
	Senders []mark   `cbor:"senders"`
}

type mark struct {
	ID       id        `cbor:"id"`
	Mark     uint64    `cbor:"mark"`
	Failures []failure `cbor:"failures,omitempty"`
}

// Marks returns a copy. Nothing may be in hand.
func (in *Inbox) Marks() Marks {
	in.mu.Lock()
	defer in.mu.Unlock()
	m := Marks{Lines: append([]uint64(nil), in.lines...)}
	for _, s := range in.senders {
		if s.mark > 0 {
			m.Senders = append(m.Senders, mark{s.id, s.mark, append([]failure(nil), s.failures...)})
		}
	}
	return m
}

// Inherit begins with the marks of a predecessor, before the first stream.
func (in *Inbox) Inherit(m Marks) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lines = append(in.lines[:1:1], m.Lines[:min(len(m.Lines), maxLines)]...)
	for _, k := range m.Senders[:min(len(m.Senders), maxSenders)] {
		in.senders[k.ID] = &sender{id: k.ID, mark: k.Mark, failures: k.Failures}
	}
}
