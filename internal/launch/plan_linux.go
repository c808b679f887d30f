package launch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Plan is how to start a program.
type Plan struct {
	Path string   // executed as it is, never searched for; relative to Dir
	Argv []string // Argv[0] too
	Env  []string // the whole environment, "NAME=value"
	Dir  string   // working directory; empty: the primary's

	// Files is how many descriptors the program gets: 0 to Files-1, which
	// are those that were given to New.
	Files int
	// ListenNames, when not empty, tells the program about sockets in the
	// way of systemd (sd_listen_fds(3)): descriptors 3, 4, … have these
	// names, and LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are set.
	ListenNames []string

	// Limits are soft and hard resource limits by name: nofile, nproc
	// (counts), as, core, fsize (bytes). Those that are not named stay as the
	// primary got them. Unlimited is [Unlimited].
	Limits map[string]uint64
	// Umask is the file mode creation mask, when not nil.
	Umask *uint32
	// User, when not nil, is whom the program runs as.
	User *User
	// NoNewPrivs forbids that the program, or one that it executes, gains
	// privileges (prctl(2), PR_SET_NO_NEW_PRIVS).
	NoNewPrivs bool
}

// User is the identity that a program runs under.
type User struct {
	UID    uint32
	GID    uint32
	Groups []uint32 // all supplementary groups; empty: none
}

// Unlimited as a limit means none (RLIM_INFINITY, getrlimit(2)).
const Unlimited = ^uint64(0)

// maxPlan bounds an encoded plan. The kernel takes at most 6 MiB of arguments
// and environment (execve(2)), which base64 makes a third longer.
const maxPlan = 9 << 20

// maxFiles bounds the descriptors of a plan.
const maxFiles = 4096

// wirePlan is a plan as it is written. Strings of the system are bytes, not
// UTF-8 text, so they travel as bytes.
type wirePlan struct {
	Version     int
	Path        []byte
	Argv        [][]byte
	Env         [][]byte
	Dir         []byte
	Files       int
	ListenNames []string
	Limits      map[string]uint64
	Umask       *uint32
	User        *User
	NoNewPrivs  bool
}

const planVersion = 1

// encode checks p and encodes it.
func encode(p Plan) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(wirePlan{
		Version:     planVersion,
		Path:        []byte(p.Path),
		Argv:        toBytes(p.Argv),
		Env:         toBytes(p.Env),
		Dir:         []byte(p.Dir),
		Files:       p.Files,
		ListenNames: p.ListenNames,
		Limits:      p.Limits,
		Umask:       p.Umask,
		User:        p.User,
		NoNewPrivs:  p.NoNewPrivs,
	})
	if err != nil {
		return nil, err
	}
	if len(b) > maxPlan {
		return nil, errors.New("arguments and environment are too long")
	}
	return b, nil
}

// decode reads an encoded plan and checks it.
func decode(b []byte) (Plan, error) {
	var w wirePlan
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return Plan{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Plan{}, errors.New("plan has a tail")
	}
	if w.Version != planVersion {
		return Plan{}, fmt.Errorf("plan has version %d, want %d", w.Version, planVersion)
	}
	p := Plan{
		Path:        string(w.Path),
		Argv:        toStrings(w.Argv),
		Env:         toStrings(w.Env),
		Dir:         string(w.Dir),
		Files:       w.Files,
		ListenNames: w.ListenNames,
		Limits:      w.Limits,
		Umask:       w.Umask,
		User:        w.User,
		NoNewPrivs:  w.NoNewPrivs,
	}
	return p, p.check()
}

// check tells what no program can be started with.
func (p Plan) check() error {
	switch {
	case p.Path == "":
		return errors.New("no program")
	case len(p.Argv) == 0: // execve(2) would start it with argv[0] empty
		return errors.New("no arguments, not even the program's name")
	case p.Files < 0 || p.Files > maxFiles:
		return fmt.Errorf("%d descriptors, want at most %d", p.Files, maxFiles)
	case len(p.ListenNames) > 0 && len(p.ListenNames) > p.Files-firstListenFD:
		return fmt.Errorf("%d sockets are named, but only %d descriptors given", len(p.ListenNames), p.Files)
	case p.Umask != nil && *p.Umask > 0o777:
		return fmt.Errorf("umask %#o, want at most 0777", *p.Umask)
	}
	return errors.Join(p.checkStrings(), checkListenNames(p.ListenNames), checkLimits(p.Limits))
}

func (p Plan) checkStrings() error {
	for _, s := range append(append([]string{p.Path, p.Dir}, p.Argv...), p.Env...) {
		if strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("%.40q holds a zero byte", s)
		}
	}
	return nil
}

// checkListenNames applies the rule of sd_pid_notify_with_fds(3) for names: up
// to 255 characters of ASCII without control characters and colons.
func checkListenNames(names []string) error {
	for _, name := range names {
		bad := func(r rune) bool { return r < ' ' || r > '~' || r == ':' }
		if name == "" || len(name) > 255 || strings.ContainsFunc(name, bad) {
			return fmt.Errorf("%.40q is not a name for a socket", name)
		}
	}
	return nil
}

func toBytes(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

func toStrings(list [][]byte) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return out
}
