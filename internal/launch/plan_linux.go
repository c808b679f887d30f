package launch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Plan says how to start a program.
type Plan struct {
	Path string   // executed as it is, without a search in PATH; relative to Dir
	Argv []string // with Argv[0]
	Env  []string // the whole environment, "NAME=value"
	Dir  string   // working directory; empty: the primary's

	// Files is the number of descriptors that the program gets: 0 to Files-1,
	// those that were given to New.
	Files int
	// Listen names the descriptors from 3 on that are listening sockets: the
	// program is told of them by LISTEN_FDS and its like (sd_listen_fds(3)).
	Listen []string
	// ListenEnv tells of them in another way, too: "NGINX" or "EINHORN".
	ListenEnv string
	// Gate lets the program wait for a byte on a pipe whose reading end the caller
	// appends to the files of the stage. If the pipe ends without one, as with its
	// caller, the program is not executed.
	Gate bool

	// Limits are soft and hard resource limits by name: nofile, nproc
	// (counts), as, core, fsize (bytes). Other limits stay as the primary got
	// them. [Unlimited] means none.
	Limits map[string]uint64
	// Umask, when not nil, is the file mode creation mask (umask(2)).
	Umask *int
	// Nice, when not 0, is the nice value (setpriority(2)).
	Nice int
	// User, when not nil, is the identity of the program.
	User *User
	// NoNewPrivs keeps the program, and what it executes, from gaining
	// privileges (prctl(2), PR_SET_NO_NEW_PRIVS).
	NoNewPrivs bool
	// Seize makes listen(2) of the program, and of what it starts, wait for a
	// supervisor (package seize), whose descriptor [Stage.Notify] returns. It
	// needs NoNewPrivs.
	Seize bool
}

// User is the identity that a program runs under.
type User struct {
	UID    uint32
	GID    uint32
	Groups []uint32 // all supplementary groups
}

// Unlimited is the limit RLIM_INFINITY of getrlimit(2).
const Unlimited = ^uint64(0)

// maxPlan bounds an encoded plan. The kernel takes at most 6 MiB of arguments
// and environment (execve(2)), which base64 makes a third longer.
const maxPlan = 9 << 20

// maxFiles bounds the descriptors of a plan.
const maxFiles = 4096

// firstSocket is the descriptor of the first listening socket
// (SD_LISTEN_FDS_START, sd_listen_fds(3)).
const firstSocket = 3

// wirePlan is a plan as it is written. Strings of the system are bytes, not
// UTF-8 text, so they travel as bytes.
type wirePlan struct {
	Version    int
	Path       []byte
	Argv       [][]byte
	Env        [][]byte
	Dir        []byte
	Files      int
	Listen     []string `json:",omitempty"` // an older launcher does not know it
	ListenEnv  string   `json:",omitempty"`
	Gate       bool     `json:",omitempty"`
	Limits     map[string]uint64
	Umask      *int `json:",omitempty"`
	Nice       int  `json:",omitempty"`
	User       *User
	NoNewPrivs bool
	Seize      bool `json:",omitempty"`
}

const planVersion = 1

func encode(p Plan) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(wirePlan{
		Version:    planVersion,
		Path:       []byte(p.Path),
		Argv:       toBytes(p.Argv),
		Env:        toBytes(p.Env),
		Dir:        []byte(p.Dir),
		Files:      p.Files,
		Listen:     p.Listen,
		ListenEnv:  p.ListenEnv,
		Gate:       p.Gate,
		Limits:     p.Limits,
		Umask:      p.Umask,
		Nice:       p.Nice,
		User:       p.User,
		NoNewPrivs: p.NoNewPrivs,
		Seize:      p.Seize,
	})
	if err != nil {
		return nil, err
	}
	if len(b) > maxPlan {
		return nil, errors.New("arguments and environment are too long")
	}
	return b, nil
}

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
		Path:       string(w.Path),
		Argv:       toStrings(w.Argv),
		Env:        toStrings(w.Env),
		Dir:        string(w.Dir),
		Files:      w.Files,
		Listen:     w.Listen,
		ListenEnv:  w.ListenEnv,
		Gate:       w.Gate,
		Limits:     w.Limits,
		Umask:      w.Umask,
		Nice:       w.Nice,
		User:       w.User,
		NoNewPrivs: w.NoNewPrivs,
		Seize:      w.Seize,
	}
	return p, p.check()
}

// check refuses a plan with which no program can be started.
func (p Plan) check() error {
	switch {
	case p.Path == "":
		return errors.New("no program")
	case len(p.Argv) == 0: // execve(2) would start it with argv[0] empty
		return errors.New("no arguments, not even the program's name")
	case p.Files < 0 || p.Files > maxFiles:
		return fmt.Errorf("%d descriptors, want at most %d", p.Files, maxFiles)
	case len(p.Listen) > 0 && firstSocket+len(p.Listen) > p.Files:
		return fmt.Errorf("%d descriptors are too few for %d sockets", p.Files, len(p.Listen))
	case p.ListenEnv != "" && p.ListenEnv != nginx && p.ListenEnv != einhorn:
		return fmt.Errorf("unknown way %.40q to tell of sockets, want %s or %s", p.ListenEnv, nginx, einhorn)
	case p.Seize && !p.NoNewPrivs:
		return errors.New("a program with new privileges cannot be seized")
	}
	return errors.Join(p.checkStrings(), checkLimits(p.Limits))
}

func (p Plan) checkStrings() error {
	for _, s := range slices.Concat([]string{p.Path, p.Dir}, p.Argv, p.Env, p.Listen) {
		if strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("%.40q holds a zero byte", s)
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
