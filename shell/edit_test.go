package shell

import (
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/term"

	"github.com/norestart/norestart/commands"
)

func TestEdit(t *testing.T) {
	type step struct {
		keys []rune
		want string // the cursor is |
	}
	for _, s := range []step{
		{[]rune{keyHome}, "|scale web 漢字"},
		{[]rune{keyLeft, keyBackspace}, "scale web |字"},
		{[]rune{keyWordLeft, keyDelete}, "scale web |字"},
		{[]rune{keyWordLeft, keyWordLeft, keyWordAhead}, "scale | 漢字"},
		{[]rune{keyHome, keyWordRight, 'x'}, "scalex| web 漢字"},
		{[]rune{keyWordBack, keyYank, keyYank}, "scale web 漢字漢字|"},
		{[]rune{keyCutStart, keyRight, 'a'}, "a|"},
		{[]rune{keyHome, keyCutEnd, keyYank}, "scale web 漢字|"},
		{[]rune{keySwap}, "scale web 字漢|"},
		{[]rune{keyHome, keySwap, keyBackspace}, "|scale web 漢字"},
		{[]rune{keyEnd, keyDelete, keyDeleteOrLeave, keyRight}, "scale web 漢字|"},
	} {
		e := unpad("scale web 漢字", len("scale web 漢字"))
		var cut []rune
		for _, key := range s.keys {
			cut = e.apply(key, cut)
		}
		got := string(e.text[:e.pos]) + "|" + string(e.text[e.pos:])
		if got != s.want {
			t.Errorf("%s: %s, want %s", shown(string(s.keys)), got, s.want)
		}
	}
}

// screen is as much of a terminal as x/term needs. A rune in the last column
// leaves the cursor there until the next one; a wide one that does not fit
// goes to the next row.
type screen struct {
	rows   [][]rune // 0 for the second half of a wide rune
	x, y   int
	width  int
	parked bool // in the last column, which is written
}

func (s *screen) cell(x, y int) *rune {
	for len(s.rows) <= y {
		s.rows = append(s.rows, []rune(strings.Repeat(" ", s.width)))
	}
	return &s.rows[y][x]
}

func (s *screen) put(r rune) {
	n := commands.Columns(string(r))
	if s.parked || s.x+n > s.width {
		s.x, s.y, s.parked = 0, s.y+1, false
	}
	*s.cell(s.x, s.y) = r
	if n == 2 {
		*s.cell(s.x+1, s.y) = 0
	}
	if s.x += n; s.x >= s.width {
		s.x, s.parked = s.width-1, true
	}
}

func (s *screen) Write(p []byte) (int, error) {
	for text := asShown(p); len(text) > 0; {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch r {
		case '\r':
			s.x, s.parked = 0, false
		case '\n':
			s.y++
		case 0x1b:
			text = s.escape(text)
		default:
			s.put(r)
		}
	}
	return len(p), nil
}

func (s *screen) escape(text []byte) (rest []byte) {
	end := strings.IndexAny(string(text), "ABCDKJH")
	n, _ := strconv.Atoi(strings.Trim(string(text[:end]), "["))
	n = max(n, 1)
	s.parked = false
	switch text[end] {
	case 'A':
		s.y = max(s.y-n, 0)
	case 'B':
		s.y += n
	case 'C':
		s.x = min(s.x+n, s.width-1)
	case 'D':
		s.x = max(s.x-n, 0)
	case 'K':
		for x := s.x; x < s.width; x++ {
			*s.cell(x, s.y) = ' '
		}
	}
	return text[end+1:]
}

// text is what a person reads, and where the cursor is.
func (s *screen) text() (text string, x, y int) {
	var b strings.Builder
	for _, row := range s.rows {
		b.WriteString(strings.TrimRight(strings.ReplaceAll(string(row), "\x00", ""), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n"), s.x, s.y
}

// keyboard hands keys out one by one and then ends.
type keyboard struct {
	keys []rune
	*screen
}

func (k *keyboard) Read(p []byte) (int, error) {
	if len(k.keys) == 0 {
		return 0, io.EOF
	}
	n := utf8.EncodeRune(p, k.keys[0])
	k.keys = k.keys[1:]
	return n, nil
}

// typeAll shows on a screen what a line becomes under keys.
func typeAll(keys []rune, width int) (*screen, edited) {
	k := &keyboard{keys, &screen{width: width}}
	x := term.NewTerminal(k, "> ")
	_ = x.SetSize(width, 24)
	var e edited
	var cut []rune
	x.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		e = unpad(line, pos)
		cut = e.apply(key, cut)
		line, pos = e.pad(2, width)
		return line, pos, true
	}
	_, _ = x.ReadLine()
	return k.screen, e
}

// Whatever is typed, a person sees the line as it is and the cursor where it
// is: as if the line had been typed at once and the cursor moved there.
func TestScreenShowsTheLine(t *testing.T) {
	alphabet := []rune("ab 漢字é😀")
	keys := []rune{keyLeft, keyRight, keyWordLeft, keyWordRight, keyHome, keyEnd, keyBackspace, keyDelete, keyWordBack, keyWordAhead, keyCutEnd, keyCutStart, keyYank, keySwap}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var typed []rune
		for range rng.IntN(60) {
			if rng.IntN(3) > 0 {
				typed = append(typed, alphabet[rng.IntN(len(alphabet))])
			} else {
				typed = append(typed, keys[rng.IntN(len(keys))])
			}
		}
		width := 5 + rng.IntN(20)
		s, e := typeAll(typed, width)
		at := append([]rune(nil), e.text...)
		for range len(e.text) - e.pos {
			at = append(at, keyLeft)
		}
		straight, _ := typeAll(at, width)
		got, x, y := s.text()
		want, wantX, wantY := straight.text()
		if diff := cmp.Diff(want, got); diff != "" || x != wantX || y != wantY {
			t.Fatalf("%s at %d columns: cursor %d,%d, want %d,%d\n%s", shown(string(typed)), width, x, y, wantX, wantY, diff)
		}
		if flat := strings.ReplaceAll(strings.ReplaceAll(got, "\n", ""), " ", ""); flat != ">"+strings.ReplaceAll(string(e.text), " ", "") {
			t.Fatalf("%q is shown as %q", string(e.text), got)
		}
	}
}

func TestPad(t *testing.T) {
	for _, tt := range []struct {
		text        string
		width, want int
	}{{"abc", 80, 3}, {"漢字", 80, 4}, {"a漢", 4, 4}, {"aa漢", 4, 4}, {"", 1, 0}, {"漢", 1, 2}} {
		e := edited{text: []rune(tt.text), pos: len([]rune(tt.text))}
		line, pos := e.pad(2, tt.width)
		back := unpad(line, pos)
		if n := utf8.RuneCountInString(line); n != tt.want || pos != len(line) || string(back.text) != tt.text || back.pos != e.pos {
			t.Errorf("%q at %d: %d columns, %q", tt.text, tt.width, n, string(back.text))
		}
	}
}
