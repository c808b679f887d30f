package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxPassphrases is how often a passphrase is asked for, as with ssh.
const maxPassphrases = 3

// identities are the keys that a login may use, in the order in which they are
// offered: the files that were named, the agent's, the usual files.
type identities struct {
	files  []string
	agent  string // its socket; empty: none
	home   string
	person *Person
	hold   func(func() error) error
	warn   func(format string, args ...any)

	conn net.Conn // to the agent, for as long as it may have to sign
}

func (id *identities) close() {
	if id.conn != nil {
		_ = id.conn.Close() // nothing is under way
	}
}

// signers is called when the server takes keys, and not before.
func (id *identities) signers(ctx context.Context) ([]ssh.Signer, error) {
	var all []ssh.Signer
	for _, file := range id.files {
		s, err := id.load(ctx, file)
		if err != nil {
			id.warn("identity file %v", err)
			continue
		}
		all = append(all, s)
	}
	all = append(all, id.fromAgent(ctx)...)
	if len(id.files) == 0 {
		all = append(all, id.usual(ctx)...)
	}
	return unique(all), nil
}

// usual are the keys that ssh-keygen makes when it is told no name. A missing
// or unreadable one is nobody's mistake.
func (id *identities) usual(ctx context.Context) (all []ssh.Signer) {
	if id.home == "" {
		return nil
	}
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		if s, err := id.load(ctx, filepath.Join(id.home, ".ssh", name)); err == nil {
			all = append(all, s)
		} else if !errors.Is(err, fs.ErrNotExist) {
			id.warn("%v", err)
		}
	}
	return all
}

func (id *identities) fromAgent(ctx context.Context) []ssh.Signer {
	if id.agent == "" {
		return nil
	}
	conn, err := (&net.Dialer{Timeout: agentTimeout}).DialContext(ctx, "unix", id.agent)
	if err != nil {
		id.warn("ssh agent: %v", err)
		return nil
	}
	id.conn = conn
	context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends whoever waits for it
	_ = conn.SetDeadline(time.Now().Add(agentTimeout))  // it has been closed: then the next read says so
	all, err := agent.NewClient(conn).Signers()
	if err != nil {
		id.warn("ssh agent: %v", err)
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(defaultTimeout)) // as above; a person may have to touch the key
	return all
}

// load reads a private key. One with a passphrase is opened when the server
// wants it; the public half tells whether.
func (id *identities) load(ctx context.Context, file string) (ssh.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	missing, locked := errors.AsType[*ssh.PassphraseMissingError](err)
	switch {
	case locked:
		return id.locked(ctx, file, text, missing.PublicKey)
	case err != nil:
		return nil, fmt.Errorf("%s: not a private key", file) // what the parser says may quote it
	}
	return signer, nil
}

func (id *identities) locked(ctx context.Context, file string, text []byte, public ssh.PublicKey) (ssh.Signer, error) {
	if id.person == nil {
		return nil, fmt.Errorf("%s: has a passphrase and nobody can be asked: use ssh-add", file)
	}
	if public == nil { // an old format
		line, err := os.ReadFile(file + ".pub")
		if err != nil {
			return nil, err
		}
		if public, _, _, _, err = ssh.ParseAuthorizedKey(line); err != nil {
			return nil, fmt.Errorf("%s.pub: %w", file, err)
		}
	}
	return &lockedKey{id: id, ctx: ctx, file: file, text: text, public: public}, nil
}

// lockedKey is a private key whose passphrase is asked for when it has to sign.
type lockedKey struct {
	id     *identities
	ctx    context.Context // of the login
	file   string
	text   []byte
	public ssh.PublicKey
	opened ssh.AlgorithmSigner
}

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, k.public.Type())
}

func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if k.opened == nil {
		if err := k.id.hold(k.open); err != nil {
			return nil, err
		}
	}
	return k.opened.SignWithAlgorithm(rand, data, algorithm)
}

func (k *lockedKey) open() error {
	for range maxPassphrases {
		phrase, err := k.id.person.Secret(k.ctx, fmt.Sprintf("Enter passphrase for key '%s': ", k.file))
		if err != nil {
			return err
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(k.text, []byte(phrase))
		if opened, ok := signer.(ssh.AlgorithmSigner); err == nil && ok {
			k.opened = opened
			return nil
		}
	}
	return fmt.Errorf("%s: wrong passphrase", k.file)
}

// unique leaves out a key that comes a second time, from the agent and from a
// file: each offer counts at the server.
func unique(all []ssh.Signer) (kept []ssh.Signer) {
	seen := make(map[string]bool)
	for _, s := range all {
		id := string(s.PublicKey().Marshal())
		if !seen[id] {
			seen[id] = true
			kept = append(kept, s)
		}
	}
	return kept
}
