package primary

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"io"
	"os"
	"time"
)

// build tells one build of a program from another.
type build struct {
	Digest   string    `cbor:"digest,omitempty"`   // SHA-256 of the file
	Revision string    `cbor:"revision,omitempty"` // of its source, as the go command noted it
	Time     time.Time `cbor:"time,omitzero"`      // of the file
}

// identify reads which build a generation is, once for each file and beside the
// loop. If that fails it is unknown, and nothing depends on it.
func (l *loop) identify(g *generation) {
	if g.looked || g.build != nil || l.twin(g) {
		return
	}
	g.looked = true
	f, err := os.Open(procFD(g.binary.FD())) // of its own: the generation may be forgotten meanwhile
	if err != nil {
		return
	}
	post := l.post
	l.spawn.wg.Go(func() {
		b := readBuild(f)
		_ = f.Close() // only read
		post(func(l *loop) { g.build, l.changed = &b, true })
	})
}

// twin takes the build of another generation of the same file; true: or it will.
func (l *loop) twin(g *generation) bool {
	for _, p := range l.pools {
		for _, o := range p.generations {
			switch {
			case o == g || !o.sameFile(g):
			case o.build == nil && o.looked:
				return true
			case o.build != nil && o.build.Time.Equal(g.binary.Modified()):
				g.build, l.changed = o.build, true
				return true
			}
		}
	}
	return false
}

func readBuild(f *os.File) (b build) {
	if info, err := f.Stat(); err == nil {
		b.Time = info.ModTime()
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err == nil {
		b.Digest = hex.EncodeToString(sum.Sum(nil))
	}
	b.Revision = revision(f)
	return b
}

// revision is empty if the go command did not build the file within a repository.
func revision(f io.ReaderAt) (text string) {
	defer func() {
		if recover() != nil { // a broken file is no reason to end the primary
			text = ""
		}
	}()
	info, err := buildinfo.Read(f)
	if err != nil {
		return ""
	}
	return revisionOf(info)
}

func revisionOf(info *buildinfo.BuildInfo) (text string) {
	changed := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			text = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+dirty"
		}
	}
	if text == "" {
		return ""
	}
	return text + changed
}
