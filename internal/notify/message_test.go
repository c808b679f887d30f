package notify

import (
	"cmp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		in   string
		want Message
	}{
		{"", Message{}},
		{"READY=1", Message{Ready: true}},
		{"READY=0", Message{}},
		{"READY=1\nSTATUS=serves\n", Message{Ready: true, Status: text("serves")}},
		{"STATUS=", Message{Status: text("")}},
		{"STATUS=a=b\nSTATUS=c", Message{Status: text("c")}},
		{"STATUS=\x1b[2Jx\xff", Message{Status: text(" [2Jx\uFFFD")}},
		{"STOPPING=1", Message{Stopping: true}},
		{"WATCHDOG=1", Message{Alive: true}},
		{"WATCHDOG=trigger", Message{Stuck: true}},
		{"EXTEND_TIMEOUT_USEC=1500000", Message{Extend: 1500 * time.Millisecond}},
		{"EXTEND_TIMEOUT_USEC=18446744073709551615", Message{Extend: maxExtend}},
		{"EXTEND_TIMEOUT_USEC=-1", Message{}},
		{"RELOADING=1\nMONOTONIC_USEC=1500000", Message{Reloading: true, Since: 1500 * time.Millisecond}},
		{"MAINPID=4711\nREADY=1", Message{MainPID: 4711, Ready: true}},
		{"MAINPID=0", Message{}},
		{"MAINPID=-1", Message{}},
		{"MAINPID=4294967296", Message{}},
		{"FDSTORE=1", Message{Store: true}},
		{"FDSTORE=1\nFDNAME=web cache\nFDPOLL=0", Message{Store: true, Name: "web cache", Unasked: true}},
		{"FDSTOREREMOVE=1\nFDNAME=a", Message{Remove: true, Name: "a"}},
		{"FDNAME=a:b", Message{}},
		{"FDNAME=\x1b", Message{}},
		{"FDNAME=é", Message{}},
		{"BARRIER=1\nnonsense", Message{}},
	} {
		tt.want.Text, tt.want.Name = tt.in, cmp.Or(tt.want.Name, defaultName)
		if diff := gocmp.Diff(tt.want, Parse([]byte(tt.in))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestLongStatusIsCutBetweenRunes(t *testing.T) {
	got := *Parse([]byte("STATUS=" + strings.Repeat("x", maxStatus-1) + "éé")).Status
	if want := strings.Repeat("x", maxStatus-1); got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"READY=1\nSTATUS=é\n", "EXTEND_TIMEOUT_USEC=1", "WATCHDOG=1", "\n=\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := Parse(b)
		if m.Extend < 0 || m.Extend > maxExtend {
			t.Errorf("extend %v", m.Extend)
		}
		if s := m.Status; s != nil && (len(*s) > maxStatus || !utf8.ValidString(*s) || strings.ContainsFunc(*s, unicode.IsControl)) {
			t.Errorf("status %q", *s)
		}
	})
}
