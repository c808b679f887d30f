package client

import (
	"bytes"
	"io"
)

// maxHeld bounds an unfinished line that is held back.
const maxHeld = 64 << 10

// output is the output of a command without the marks. If the command can be
// resumed, it holds an unfinished line back: after a broken connection that line
// is sent again.
type output struct {
	w       io.Writer
	line    string // that was sent
	running *progress

	split splitter
	holds bool
	held  []byte
	whole bool // the held line is complete but for its line break
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

// end writes the held line at the end of the output.
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
