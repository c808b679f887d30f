package primary

import (
	"errors"
	"strings"
	"testing"

	"github.com/norestart/norestart/control"
)

// TestScreen: what is kept is bounded, and who reads slowly learns what is gone.
func TestScreen(t *testing.T) {
	s := newScreen()
	line := strings.Repeat("x", 99) + "\n"
	for range 5 * screenKept / len(line) {
		s.add([]byte(line))
	}
	if n := len(s.Kept); n > 2*screenKept {
		t.Errorf("%d bytes are kept", n)
	}
	data, skipped, end, more := s.read(0)
	if len(data) != screenKept || uint64(skipped+len(data)) != end || more == nil {
		t.Errorf("%d bytes, %d skipped, up to %d", len(data), skipped, end)
	}
	from := s.begin(control.Cursor{})
	if data, _, _, _ := s.read(from); len(data) > screenShown || len(data)%len(line) != 0 {
		t.Errorf("at first %d bytes are shown: not whole lines of the last part", len(data))
	}
	if from := s.begin(control.Cursor{Epoch: s.Epoch, Seq: end - 3}); from != end-3 {
		t.Errorf("it goes on from %d, not %d", from, end-3)
	}
	if from := s.begin(control.Cursor{Epoch: s.Epoch + 1, Seq: end - 3}); from == end-3 {
		t.Error("a place of another epoch is believed")
	}
	s.close()
	if _, _, _, more := s.read(end); more != nil {
		t.Error("more is promised after the end")
	}
}

// TestScreenTypist: one caller types at a time, who may come back before his end was
// seen.
func TestScreenTypist(t *testing.T) {
	s, viola, again, op := newScreen(), &typist{"a", "viola"}, &typist{"a", "viola"}, &typist{"b", "op"}
	must(t, s.claim(viola, "web/0"))
	if err := s.claim(op, "web/0"); !errors.Is(err, control.ErrBusy) || s.mayType("b") || s.mayType("") {
		t.Errorf("a second one types: %v", err)
	}
	must(t, s.claim(again, "web/0"))
	s.leave(viola)
	if !s.mayType("a") {
		t.Error("the end of the earlier attachment ended the later one")
	}
	s.leave(again)
	must(t, s.claim(op, "web/0"))
}
