package pingpong

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/norestart/norestart/internal/e2e"
	"github.com/norestart/norestart/internal/fault/inject"
	"github.com/norestart/norestart/internal/harness"
)

const mail = "worker/internal/mail/"

// switches put failures into the mail of workers, and take away what protects it from
// them. FAULTS_ON names those that are on.
var switches = []inject.Change{
	// answers: nine of ten answers are lost, and the stream with each.
	// mute: none is given after the marks were copied for the successor.
	{
		File: mail + "inbox_stream.go",
		Old:  "failures, answered, last := st.unwritten()",
		New:  `failures, answered, last := st.unwritten(); if answered > 0 && (st.in.mute.Load() || fault.On("answers") && !fault.Each(10, "answers")) { return }`,
	},
	{File: mail + "inbox.go", Old: "	mu      sync.Mutex", New: "	mute atomic.Bool; mu      sync.Mutex"},
	{File: mail + "inbox.go", Old: `	"sync"`, New: `	"sync"; "sync/atomic"`},
	{
		File: mail + "marks.go",
		Old:  "m := Marks{",
		New:  `in.mute.Store(fault.On("mute")); m := Marks{`,
	},
	// crash: a worker is killed with its 200th message in hand; of the first ones every
	// second, for a sender that is killed, too, begins its message anew.
	{
		File: mail + "inbox.go",
		Old:  "	if m.Redelivered {",
		New:  `	if in.lines[0]%2 == 0 && fault.Each(200, "crash") { fault.Die() }; if m.Redelivered {`,
	},
	// forget: a receiver does not remember what it has handled, once a stream has ended.
	{
		File: mail + "inbox.go",
		Old:  "s.looked = in.looked",
		New:  `s.looked = in.looked; if fault.On("forget") { s.mark = 0 }`,
	},
	// disinherit: a successor does not get what its predecessor remembers.
	{
		File: mail + "marks.go",
		Old:  "for _, k := range m.Senders[",
		New:  `if fault.On("disinherit") { return }; for _, k := range m.Senders[`,
	},
	// once: a sender takes as handled what it has written when a stream ends.
	{
		File: mail + "stream.go",
		Old:  "p.next, p.closing = 0, false",
		New:  `for fault.On("once") && p.next > 0 { l := p.queue[0]; p.remove(0); l.result <- nil }; p.next, p.closing = 0, false`,
	},
	// reverse: of the messages of a sender that are there the last is received first.
	{
		File: mail + "inbox.go",
		Old:  "m := s.queue[0]",
		New:  `if fault.On("reverse") { slices.Reverse(s.queue) }; m := s.queue[0]`,
	},
	{
		File: mail + "sender.go",
		Old:  "s.inHand, s.mark = nil, m.Seq",
		New:  `s.inHand = nil; if !fault.On("reverse") || m.Seq > s.mark { s.mark = m.Seq }`,
	},
}

// TestFaults runs the transcripts of what the comparison finds when messages fail.
func TestFaults(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	overlay, err := inject.Rewrite(root, out, switches...)
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Build(t.Context(), out, "-overlay", overlay, "./pingpong"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(out, "pingpong"), filepath.Join(out, "pingpong-faulty")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", out+string(os.PathListSeparator)+os.Getenv("PATH"))
	e2e.Run(t, "testdata/faults")
}
