package pingpong

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sound is a run of two slots: a reload of the second one after its first message.
var sound = map[string]string{
	"actors-0.1.journal": `began 0
sent actors/1 ping 0 1 false
received actors/1 pong 0 1 false 1 2 1 false
sent actors/1 ping 0 2 false
received actors/1 pong 0 2 false 2 10 1 false
ended 2
`,
	"actors-1.2.journal": `began 0
received actors/0 ping 0 1 false 1 1 1 false
sent actors/0 pong 0 1 false
`,
	"actors-1.10.journal": `inherited 1
received actors/0 ping 0 2 false 2 1 2 false
sent actors/0 pong 0 2 false
ended 2
`,
}

// TestCompare doctors the journals of a sound run.
func TestCompare(t *testing.T) {
	const after, before = "actors-1.10.journal", "actors-1.2.journal"
	for _, tt := range []struct {
		name, file, old, new string
		want                 string
		ok                   bool
	}{
		{"sound", after, "", "", "sent=4 received=4 lost=0 doubled=0 misordered=0 state=ok", true},
		{
			"lost", before, "received actors/0 ping 0 1 false 1 1 1 false\n", "",
			"counter: actors/1 has counted 1 messages in actors-1.10.journal, not 0\nlost: ping 1 of lane 0 from actors/0 to actors/1\nsent=4 received=3 lost=1 doubled=0 misordered=0 state=wrong", false,
		},
		{
			"doubled", after, "inherited 1\n", "inherited 1\nreceived actors/0 ping 0 1 false 2 1 1 false\n",
			"doubled: ping 1 of lane 0 from actors/0 to actors/1\ncounter: actors/1 has counted 2 messages in actors-1.10.journal, not 3\nsent=4 received=4 lost=0 doubled=1 redelivered=0 misordered=0 state=wrong", false,
		},
		{
			"doubled over a reload, though marked", after, "ended 2\n", "received actors/0 ping 0 1 false 3 1 1 true\nended 3\n",
			"doubled: ping 1 of lane 0 from actors/0 to actors/1\nsent=4 received=4 lost=0 doubled=1 redelivered=0 misordered=0 state=ok", false,
		},
		{
			"redelivered after a crash", after, "inherited 1\nreceived actors/0 ping 0 2 false 2 1 2 false\nsent actors/0 pong 0 2 false\nended 2\n",
			"began 0\nreceived actors/0 ping 0 1 false 1 1 1 true\nreceived actors/0 ping 0 2 false 2 1 2 false\nsent actors/0 pong 0 2 false\nended 2\n",
			"sent=4 received=4 lost=0 doubled=1 redelivered=1 misordered=0 state=ok", true,
		},
		{
			"doubled after a crash, and not marked", after, "inherited 1\nreceived actors/0 ping 0 2 false 2 1 2 false\nsent actors/0 pong 0 2 false\nended 2\n",
			"began 0\nreceived actors/0 ping 0 1 false 1 1 1 false\nreceived actors/0 ping 0 2 false 2 1 2 false\nsent actors/0 pong 0 2 false\nended 2\n",
			"doubled: ping 1 of lane 0 from actors/0 to actors/1\nsent=4 received=4 lost=0 doubled=1 redelivered=0 misordered=0 state=ok", false,
		},
		{
			"sent again after a crash of the sender", "actors-0.1.journal", "received actors/1 pong 0 2 false 2 10 1 false\nended 2\n",
			"received actors/1 pong 0 2 false 2 9 1 false\nreceived actors/1 pong 0 2 true 3 10 1 false\nended 3\n",
			"sent=4 received=4 lost=0 doubled=1 redelivered=1 misordered=0 state=ok", true,
		},
		{
			"misordered in a lane", after, "received actors/0 ping 0 2 false 2 1 2 false\n",
			"received actors/0 ping 0 4 false 2 1 2 false\nreceived actors/0 ping 0 2 false 3 1 3 false\n",
			"misordered: ping 2 of lane 0 from actors/0 to actors/1\ncounter: actors/1 has counted 2 messages in actors-1.10.journal, not 3\nnot acknowledged: ping 4 of lane 0 from actors/0 to actors/1\nsent=4 received=5 lost=0 doubled=0 misordered=1 state=wrong", false,
		},
		{
			"misordered in the mailbox", after, "received actors/0 ping 0 2 false 2 1 2 false\n", "received actors/0 ping 0 2 false 2 1 1 false\n",
			"misordered: ping 2 of lane 0 from actors/0 to actors/1\nsent=4 received=4 lost=0 doubled=0 misordered=1 state=ok", false,
		},
		{
			"last line cut", after, "ended 2\n", "ended 2\nreceived actors/0 pi",
			"sent=4 received=4 lost=0 doubled=0 misordered=0 state=ok", true,
		},
		{
			"counter lost in a reload", after, "inherited 1\n", "inherited 0\n",
			"counter: actors/1 has counted 0 messages in actors-1.10.journal, not 1\ncounter: actors/1 has counted 2 messages in actors-1.10.journal, not 1\nsent=4 received=4 lost=0 doubled=0 misordered=0 state=wrong", false,
		},
		{
			"a successor that never served: the process before has gone on", "actors-1.5.journal", "", "inherited 0\n",
			"sent=4 received=4 lost=0 doubled=0 misordered=0 state=ok", true,
		},
		{
			"unfinished", after, "ended 2\n", "",
			"unfinished: actors/1 has not sent and received all\nsent=4 received=4 lost=0 doubled=0 misordered=0 state=unfinished", false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Compare(doctored(t, tt.file, tt.old, tt.new))
			if diff := cmp.Diff(tt.want+"\n", r.Report()); diff != "" || r.OK() != tt.ok {
				t.Errorf("ok %t, want %t (-want +got):\n%s", r.OK(), tt.ok, diff)
			}
		})
	}
}

func doctored(t *testing.T, file, old, text string) []Process {
	t.Helper()
	dir, files := t.TempDir(), maps.Clone(sound)
	if !strings.Contains(files[file], old) {
		t.Fatalf("%s does not contain %q", file, old)
	}
	files[file] = strings.Replace(files[file], old, text, 1)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, file, text, want string }{
		{"a line", "actors-0.1.journal", "began 0\nsent actors/1 ping 0 one false\n", `line 2: "sent actors/1 ping 0 one false": `},
		{"more on a line", "actors-0.1.journal", "began 0 1\n", `line 1: "began 0 1": it should be "began 0"`},
		{"a word", "actors-0.1.journal", "lent 0\n", `no entry begins with "lent"`},
		{"a name", "actors.journal", "began 0\n", "the name of a journal is POOL-SLOT.INCARNATION.journal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Read: %v, want %q", err, tt.want)
			}
		})
	}
}
