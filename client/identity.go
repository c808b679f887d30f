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

// maxPassphrases is the number of tries for a passphrase, as with ssh.
const maxPassphrases = 3

// identities are the keys for a login, in the order of their offers: the named
// files, those of the agent, the usual files.
type identities struct {
	files  []string
	agent  string // its socket; empty: none
	home   string
	person *Person
	opened map[string]ssh.AlgorithmSigner // the next login, after a server that gave up on a slow answer, need not ask again
	hold   func(func() error) error
	warn   func(format string, args ...any)

	conn net.Conn // to the agent, open while it may have to sign
}

func (id *identities) close() {
	if id.conn != nil {
		_ = id.conn.Close() // no request is under way
	}
}

// signers runs only when the server accepts keys.
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

// usual are the default files of ssh-keygen. A missing or unreadable one is no
// error.
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
	context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends pending reads and writes
	_ = conn.SetDeadline(time.Now().Add(agentTimeout))  // on a closed connection the next read reports the error
	all, err := agent.NewClient(conn).Signers()
	if err != nil {
		id.warn("ssh agent: %v", err)
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(defaultTimeout)) // as above; a person may have to touch the key
	return all
}

// load reads a private key. A passphrase is asked for only when the server has
// accepted the public half.
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
		return nil, fmt.Errorf("%s: not a private key", file) // the error of the parser may quote the file
	}
	return signer, nil
}

func (id *identities) locked(ctx context.Context, file string, text []byte, public ssh.PublicKey) (ssh.Signer, error) {
	if id.person == nil {
		return nil, fmt.Errorf("%s: has a passphrase and there is no terminal to ask at: use ssh-add", file)
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

// lockedKey is a private key that asks for its passphrase when it has to sign.
type lockedKey struct {
	id     *identities
	ctx    context.Context // of the login
	file   string
	text   []byte
	public ssh.PublicKey
}

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, k.public.Type())
}

func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if k.id.opened[k.file] == nil {
		if err := k.id.hold(k.open); err != nil {
			return nil, err
		}
	}
	return k.id.opened[k.file].SignWithAlgorithm(rand, data, algorithm)
}

func (k *lockedKey) open() error {
	for range maxPassphrases {
		phrase, err := k.id.person.Secret(k.ctx, fmt.Sprintf("Enter passphrase for key '%s': ", k.file))
		if err != nil {
			return err
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(k.text, []byte(phrase))
		if opened, ok := signer.(ssh.AlgorithmSigner); err == nil && ok {
			k.id.opened[k.file] = opened
			return nil
		}
	}
	return fmt.Errorf("%s: wrong passphrase", k.file)
}

// unique leaves out a key that both the agent and a file offer: the server
// counts each offer.
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
