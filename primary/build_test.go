package primary

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/proc"
)

// TestBuild: what is read of a program is what it says of itself.
func TestBuild(t *testing.T) {
	path, err := os.Executable()
	must(t, err)
	data, err := os.ReadFile(path)
	must(t, err)
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	sum := sha256.Sum256(data)
	want := build{Digest: hex.EncodeToString(sum[:])}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("this test has no build info")
	}
	want.Revision = revisionOf(info)
	st, err := f.Stat()
	must(t, err)
	want.Time = st.ModTime()
	if got := readBuild(f); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestTwin: a file is read once, however many generations are of it, and again when
// it was written meanwhile.
func TestTwin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app")
	written := time.Unix(1_700_000_000, 5)
	of := func(content string, at time.Time) *generation {
		must(t, os.WriteFile(path, []byte(content), 0o700))
		must(t, os.Chtimes(path, at, at))
		b, err := proc.Pin(path)
		must(t, err)
		t.Cleanup(func() { b.Close() })
		return &generation{binary: b}
	}
	first, second, later := of("one", written), of("one", written), of("two", written.Add(1))
	l := &loop{pools: []*pool{{generations: []*generation{first}}, {generations: []*generation{second, later}}}}
	first.looked = true
	if !l.twin(second) || second.build != nil {
		t.Errorf("while it is read: %+v, and it is not waited for", second.build)
	}
	first.build = &build{Digest: "1", Time: written}
	if !l.twin(second) || second.build != first.build {
		t.Errorf("when it is known: %+v", second.build)
	}
	if l.twin(later) {
		t.Errorf("written meanwhile: %+v", later.build)
	}
}

// TestRevision: of a source with changes that is said, too.
func TestRevision(t *testing.T) {
	for want, settings := range map[string][]debug.BuildSetting{
		"":          {{Key: "vcs.modified", Value: "true"}},
		"abc":       {{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}},
		"abc+dirty": {{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "abc"}},
	} {
		if got := revisionOf(&debug.BuildInfo{Settings: settings}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestBrokenBuilds: a file that is no program, or one cut short or damaged, ends
// nothing.
func TestBrokenBuilds(t *testing.T) {
	path, err := os.Executable()
	must(t, err)
	data, err := os.ReadFile(path)
	must(t, err)
	head := bytes.Clone(data[:4096])
	for i := 16; i < len(head); i += 7 {
		head[i] ^= 0xff
	}
	for name, content := range map[string][]byte{
		"script": []byte("#!/bin/sh\n"), "empty": nil, "short": data[:len(data)/2], "damaged": append(head, data[4096:8192]...),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app")
			must(t, os.WriteFile(path, content, 0o700))
			f, err := os.Open(path)
			must(t, err)
			defer f.Close()
			if b := readBuild(f); b.Digest == "" {
				t.Errorf("%+v: no digest", b)
			}
		})
	}
}
