package adminport

import (
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/term"

	"github.com/norestart/norestart/internal/typeset"
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
		{[]rune{'e', 0x301, 'x', keyLeft, keyLeft, keyLeft}, "scale web 漢|字e\u0301x"},
		{[]rune{'e', 0x301, 'x', keyBackspace, keyBackspace}, "scale web 漢字|"},
		{[]rune{'e', 0x301, 'x', keySwap}, "scale web 漢字xe\u0301|"},
		{[]rune{'👩', joiner, '💻', 'x', keyLeft, keyLeft, keyDelete}, "scale web 漢字|x"},
		{[]rune{'👍', 0x1f3fd, keyLeft, 'x'}, "scale web 漢字x|👍🏽"},
		{[]rune{keyHome, 0x301, joiner, keyRight, joiner, 0xfe0f}, "s|cale web 漢字"},
		{slices.Concat([]rune{keyCutStart, 'a'}, slices.Repeat([]rune{0x301}, 2*maxMarks), []rune{keyHome, keyDelete, 'b'}), "b|"},
	} {
		e := (&glyphs{}).unpad("scale web 漢字", len("scale web 漢字"))
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
	rows   [][]string // empty for the second half of a wide rune
	x, y   int
	width  int
	parked bool // in the last column, which is written
	glyphs glyphs
}

func (s *screen) cell(x, y int) *string {
	for len(s.rows) <= y {
		s.rows = append(s.rows, slices.Repeat([]string{" "}, s.width))
	}
	return &s.rows[y][x]
}

func (s *screen) put(r rune) {
	n := typeset.Columns(string(r))
	if n == 0 {
		s.mark(r)
		return
	}
	if s.parked || s.x+n > s.width {
		s.x, s.y, s.parked = 0, s.y+1, false
	}
	*s.cell(s.x, s.y) = string(r)
	if n == 2 {
		*s.cell(s.x+1, s.y) = ""
	}
	if s.x += n; s.x >= s.width {
		s.x, s.parked = s.width-1, true
	}
}

// mark is a rune without a column: it joins the one before it. What terminals
// do not agree about must not come.
func (s *screen) mark(r rune) {
	x := s.x - 1
	if s.parked {
		x = s.x
	}
	for x > 0 && *s.cell(x, s.y) == "" {
		x--
	}
	if !isMark(r) || x < 0 {
		r = '!'
	}
	*s.cell(max(x, 0), s.y) += string(r)
}

func (s *screen) Write(p []byte) (int, error) {
	for text := s.glyphs.asShown(p); len(text) > 0; {
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
			*s.cell(x, s.y) = " "
		}
	}
	return text[end+1:]
}

// text is what a person reads, and where the cursor is.
func (s *screen) text() (text string, x, y int) {
	var b strings.Builder
	for _, row := range s.rows {
		b.WriteString(strings.TrimRight(strings.Join(row, ""), " ") + "\n")
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
		e = k.glyphs.unpad(line, pos)
		cut = e.apply(key, cut)
		line, pos = k.glyphs.pad(&e, 2, width)
		return line, pos, true
	}
	_, _ = x.ReadLine()
	return k.screen, e
}

// Whatever is typed, a person sees the line as it is and the cursor where it
// is: as if the line had been typed at once and the cursor moved there.
func TestScreenShowsTheLine(t *testing.T) {
	alphabet := []rune("ab 漢字é😀\u0301\u0323👩\u200d\ufe0f👍🏽❤")
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
		for i := e.pos; i < len(e.text); i = e.behind(i) {
			at = append(at, keyLeft)
		}
		straight, _ := typeAll(at, width)
		got, x, y := s.text()
		want, wantX, wantY := straight.text()
		if diff := cmp.Diff(want, got); diff != "" || x != wantX || y != wantY {
			t.Fatalf("%s at %d columns: cursor %d,%d, want %d,%d\n%s", shown(string(typed)), width, x, y, wantX, wantY, diff)
		}
		if flat := strings.ReplaceAll(strings.ReplaceAll(got, "\n", ""), " ", ""); flat != ">"+strings.ReplaceAll(asSeen(e.text), " ", "") {
			t.Fatalf("%q is shown as %q", string(e.text), got)
		}
	}
}

// asSeen is a line without what is not shown.
func asSeen(text []rune) string {
	var b strings.Builder
	for i := 0; i < len(text); i = glyphEnd(text, i) {
		b.WriteString(visible(text[i:glyphEnd(text, i)]))
	}
	return b.String()
}

func TestPad(t *testing.T) {
	for _, tt := range []struct {
		text        string
		width, want int
	}{{"abc", 80, 3}, {"漢字", 80, 4}, {"a漢", 4, 4}, {"aa漢", 4, 4}, {"", 1, 0}, {"漢", 1, 2}, {"e\u0301", 80, 1}, {"👩\u200d💻", 80, 4}, {"👍🏽", 80, 2}, {"\u0301a", 80, 2}, {"\U00100000", 80, 1}} {
		e := edited{text: []rune(tt.text), pos: len([]rune(tt.text))}
		var g glyphs
		line, pos := g.pad(&e, 2, tt.width)
		back := g.unpad(line, pos)
		if n := utf8.RuneCountInString(line); n != tt.want || pos != len(line) || string(back.text) != tt.text || back.pos != e.pos {
			t.Errorf("%q at %d: %d columns, %q", tt.text, tt.width, n, string(back.text))
		}
	}
}
