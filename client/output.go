package client

import (
	"bytes"
	"io"
)

// maxHeld is how much of an unfinished line is held back.
const maxHeld = 64 << 10

// output is what a command writes, without the marks in it. Of what can be
// taken up again an unfinished line is held back: if the connection breaks in
// it, it comes once more.
type output struct {
	w       io.Writer
	line    string // that was sent
	running *progress

	split splitter
	holds bool
	held  []byte
	whole bool // what is held is a line but for its end
}

func (o *output) Write(p []byte) (int, error) {
	for _, w := range o.split.feed(p) {
		if err := o.take(w); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (o *output) take(w word) error {
	if w.text != nil {
		return o.pass(w.text)
	}
	if w.kind == markRun {
		w.value = o.line
	}
	o.running.take(w)
	o.whole = w.kind == markPlace
	if w.kind == markRun || w.kind == markJob {
		o.holds = o.running.resume() != ""
	}
	return nil
}

func (o *output) pass(text []byte) error {
	if !o.holds {
		_, err := o.w.Write(text)
		return err
	}
	o.held = append(o.held, text...)
	end := bytes.LastIndexByte(o.held, '\n') + 1
	if len(o.held)-end > maxHeld {
		end = len(o.held)
	}
	if end == 0 {
		return nil
	}
	_, err := o.w.Write(o.held[:end])
	o.held, o.whole = append(o.held[:0], o.held[end:]...), false
	return err
}

// end passes on what is held when nothing more comes.
func (o *output) end(lost bool) error {
	rest := append(o.held, o.split.held...)
	switch {
	case lost && o.whole:
		rest = append(o.held, '\n')
	case lost && o.holds:
		return nil
	}
	_, err := o.w.Write(rest)
	return err
}
