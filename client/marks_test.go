package client

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write is the inverse of splitting, for the tests.
func write(words []word) (all []byte) {
	for _, w := range words {
		if w.text != nil {
			all = append(all, w.text...)
			continue
		}
		all = append(all, markBegin+w.kind+";"+w.value+markClose...)
	}
	return all
}

func shown(words []word) (text string, marks []string) {
	for _, w := range words {
		text += string(w.text)
		if w.text == nil {
			marks = append(marks, w.kind+"="+w.value)
		}
	}
	return text, marks
}

func TestSplitter(t *testing.T) {
	for _, tt := range []struct {
		stream, text string
		marks        []string
		held         string
	}{
		{stream: "plain\n", text: "plain\n"},
		{stream: "a\x1b_norestart;prompt;> \x1b\\", text: "a", marks: []string{"prompt=> "}},
		{stream: "\x1b_norestart;place;1.2\x1b\\b\x1b_norestart;end;0\x1b\\", text: "b", marks: []string{"place=1.2", "end=0"}},
		{stream: "\x1b[31mred\x1b[m", text: "\x1b[31mred\x1b[m"},
		{stream: "\x1b_other;x\x1b\\", text: "\x1b_other;x\x1b\\"},
		{stream: "\x1b_norestart;a\x07b", text: "\x1b_norestart;a\x07b"},
		{stream: "\x1b_norestart;run;\xff\x1b\\", text: "\x1b_norestart;run;\xff", held: "\x1b\\"[:0], marks: nil},
		{stream: "x\x1b_nore", text: "x", held: "\x1b_nore"},
		{stream: "x\x1b_norestart;run;y\x1b", text: "x", held: "\x1b_norestart;run;y\x1b"},
		{stream: "\x1b_norestart;run;" + strings.Repeat("y", maxMark+1), text: "\x1b_norestart;run;" + strings.Repeat("y", maxMark+1)},
	} {
		var s splitter
		text, marks := shown(s.feed([]byte(tt.stream)))
		if strings.Contains(tt.stream, "\xff") {
			tt.text += "\x1b\\"
		}
		got := []any{text, marks, string(s.held)}
		if diff := cmp.Diff([]any{tt.text, tt.marks, tt.held}, got); diff != "" {
			t.Errorf("%.40q (-want +got):\n%s", tt.stream, diff)
		}
	}
}

// FuzzSplitter: nothing is lost, however the stream is cut, and what is held
// back is bounded.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("Password: \x1b_norestart;prompt;> \x1b\\x"), byte(3))
	f.Add([]byte("\x1b\x1b_norestart;end;1\x1b\\\x1b_norestart;"), byte(1))
	f.Fuzz(func(t *testing.T, stream []byte, cut byte) {
		var whole, cutUp splitter
		wantText, wantMarks := shown(whole.feed(stream))
		var all []word
		step := int(cut)%16 + 1
		for rest := stream; len(rest) > 0; {
			n := min(step, len(rest))
			for _, w := range cutUp.feed(rest[:n]) {
				w.text = bytes.Clone(w.text)
				all = append(all, w)
			}
			rest = rest[n:]
			if len(cutUp.held) > maxMark+len(markBegin)+2 {
				t.Fatalf("%d bytes held", len(cutUp.held))
			}
		}
		text, marks := shown(all)
		if diff := cmp.Diff([]any{wantText, wantMarks}, []any{text, marks}); diff != "" {
			t.Errorf("cut by %d (-whole +cut):\n%s", step, diff)
		}
		if back := append(write(all), cutUp.held...); len(marks) == 0 && !bytes.Equal(back, stream) {
			t.Errorf("got %q back", back)
		}
	})
}
