package ipc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/norestart/norestart/control"
)

// Version of the protocol. A peer of another version is refused in the answer
// to its hello.
const Version = 1

// Files of the run directory.
const (
	WorkerSocket = "worker.sock" // 0666: every hello proves itself by a secret
	CtlSocket    = "ctl.sock"    // 0600: its mode is the proof
)

// SendTimeout is how long a peer may take to read a message.
const SendTimeout = 5 * time.Second

// HelloTimeout is how long a peer may take for its part of the greeting.
const HelloTimeout = 5 * time.Second

// Types of messages; docs/protocol.md tells who sends which when.
const (
	TypeHello   = "hello"   // Hello: opens every conversation
	TypeWelcome = "welcome" // Welcome
	TypeRefused = "refused" // control.Error: then the connection is closed

	TypeReady    = "ready"   // worker: it serves
	TypeBeat     = "beat"    // Beat
	TypeDrain    = "drain"   // Drain: stop taking work
	TypeLeaving  = "leaving" // worker: it ends by itself, send work elsewhere
	TypeClosed   = "closed"  // worker: accepts no more connections
	TypeDrained  = "drained" // Drained: it has finished and exits
	TypeHandover = "legacy"  // one descriptor: a conversation with the predecessor, which hands its connections over
	TypeMove     = "move"    // Move, with descriptors: from a predecessor to its successor
	TypeMoved    = "moved"   // Moved: the answer
	TypeInvite   = "invite"  // Invite: fetch a question
	TypeConfig   = "config"  // Config: of the application, to be applied
	TypeSockets  = "sockets" // Sockets, with descriptors: the pool's, to keep or to give back
	TypeHeard    = "heard"   // Heard: what another program said while there was no primary
	TypeAccept   = "accept"  // Accept: accept the connections that wait in the sockets of other slots
	TypeSession  = "session" // Session, one descriptor: a local caller's conversation

	TypeUpstreams = "upstreams" // Upstreams: to the relay
	TypeLeft      = "left"      // Left: from the relay

	TypePrepared = "prepared" // worker: its modules wait for the state of its predecessor
	TypeYield    = "yield"    // one descriptor: a conversation with the successor, which waits for the state
	TypeInherit  = "inherit"  // one descriptor: a conversation with the predecessor; none: there is none
	TypeState    = "state"    // State, with descriptors: of one module, from a predecessor to its successor
	TypeTaken    = "taken"    // Taken: the modules of the successor can go on with it
	TypeYours    = "yours"    // the answer: the predecessor will not go on by itself

	TypeMail    = "mail"    // Mail: a stream to a mailbox is asked for; with its descriptor: it is here
	TypeMailbox = "mailbox" // Mailbox: the receiver has the stream
	TypeSlots   = "slots"   // Slots of a pool

	TypeRequest = "request" // Request
	TypeItem    = "item"    // one element of a streamed answer
	TypeIdle    = "idle"    // the streamed answer goes on
	TypeReply   = "reply"   // Reply: the answer, or the end of it

	TypeOpen    = "open"    // OpenFile: a file of the state directory
	TypeOpened  = "opened"  // Opened, with its descriptor
	TypeRecord  = "record"  // a record for the audit log
	TypePrepare = "prepare" // make what is missing in the state directory

	TypeAttach   = "attach"   // Attach: run a command of the application
	TypeAttached = "attached" // the shell worker has taken it
	TypeWant     = "want"     // the command reads its standard input
	TypeStdin    = "stdin"    // Data; EOF set at its end
	TypeStdout   = "stdout"   // Data
	TypeStderr   = "stderr"   // Data
	TypeCancel   = "cancel"   // the caller pressed Ctrl-C
	TypeExit     = "exit"     // ExitStatus: the command's end
)

// Purpose of a conversation.
type Purpose string

const (
	PurposeControl Purpose = "control" // a worker's lasting conversation
	PurposeRequest Purpose = "request" // one request
	PurposeTake    Purpose = "take"    // take the question of an invite
	PurposeBroker  Purpose = "custody" // one thing of the state directory, see [Broker]
	PurposeMail    Purpose = "post"    // a stream to the mailbox of another worker
)

// Hello opens a conversation. On ctl.sock only Protocol and Purpose are set.
type Hello struct {
	Protocol    int     `cbor:"protocol"`
	Purpose     Purpose `cbor:"purpose"`
	Worker      string  `cbor:"worker,omitempty"` // "web/2"
	Generation  int     `cbor:"generation,omitempty"`
	Incarnation uint64  `cbor:"incarnation,omitempty"`
	Secret      []byte  `cbor:"secret,omitempty"`
	Token       string  `cbor:"token,omitempty"` // of an invite

	// The report of a worker that joins: all that a new primary has to know of
	// it.
	Ready    bool `cbor:"ready,omitempty"`
	Leaving  bool `cbor:"leaving,omitempty"`
	Draining bool `cbor:"draining,omitempty"`
	Closed   bool `cbor:"closed,omitempty"`   // accepts no more connections
	Prepared bool `cbor:"prepared,omitempty"` // waits for the state of its predecessor
	Kept     int  `cbor:"kept,omitempty"`     // sockets of the pool that it could give back
	// Config is the digest of the configuration of the application that it has.
	Config string `cbor:"config,omitempty"`
}

// Welcome answers a hello.
type Welcome struct {
	Protocol int    `cbor:"protocol"`
	Name     string `cbor:"name"` // of the cluster
	PID      int    `cbor:"pid"`  // of the primary
	// Sockets asks the worker to give the pool's sockets back, because this
	// primary has not opened them.
	Sockets bool `cbor:"sockets,omitempty"`
}

// Beat says that the worker's program runs, and how it does.
type Beat struct {
	Connections int   `cbor:"connections"`
	Requests    int64 `cbor:"requests"`
	Hijacked    int   `cbor:"hijacked,omitempty"` // of the connections: taken over by handlers
}

// Drain asks a worker to stop taking work and to end. A descriptor with it is a
// conversation with the successor that takes its idle connections; the other end
// went there by [TypeHandover].
type Drain struct {
	// Linger keeps the listeners open during the lame duck: no successor accepts
	// on them, so queued connections must be served here.
	Linger   bool          `cbor:"linger"`
	LameDuck time.Duration `cbor:"lame_duck"`
	// Deadline is when unfinished work is cut; 0: never.
	Deadline time.Duration `cbor:"deadline"`
	// Final is set when the whole cluster stops: lasting sessions end, too.
	Final bool `cbor:"final"`
}

// Drained tells how a drain went, in connections. Each is in one number.
type Drained struct {
	Moved    int `cbor:"moved,omitempty"` // go on in another worker
	Finished int `cbor:"finished"`        // served to their end
	Told     int `cbor:"told,omitempty"`  // idle ones, told to go
	Cut      int `cbor:"cut"`             // closed at the deadline
}

// Move offers connections to the worker that takes over, a descriptor each.
type Move struct {
	Connections []Moving `cbor:"connections"`
}

// Moving is one of them.
type Moving struct {
	Listener string `cbor:"listener"`       // that accepted it
	Read     []byte `cbor:"read,omitempty"` // and not yet answered: comes before what the socket has
}

// Moved answers [Move]: which of them were taken, in the same order. The others
// stay where they were.
type Moved struct {
	Taken []bool `cbor:"taken"`
}

// State is what one module of a worker hands to that of its successor. Its
// descriptors are those of Files; if Size is not 0, the first one is a sealed
// memfd with so many bytes instead of Data. Files that have no room in one message
// follow in further ones with the same name.
type State struct {
	Module  string    `cbor:"module,omitempty"`
	Version string    `cbor:"version,omitempty"`
	Data    []byte    `cbor:"data,omitempty"`
	Size    int64     `cbor:"size,omitempty"`
	Reloads int       `cbor:"reloads,omitempty"` // that the state has seen
	More    bool      `cbor:"more,omitempty"`    // files of this module follow
	Last    bool      `cbor:"last,omitempty"`    // all modules have been sent; one descriptor: a pipe whose writing end the successor keeps while it lives
	Held    time.Time `cbor:"held,omitzero"`     // with Last: since when no request is answered
}

// Taken names the modules that go on.
type Taken struct {
	Modules []string `cbor:"modules"`
}

// Invite asks a worker to open a conversation and take a question.
type Invite struct {
	Token string `cbor:"token"`
}

// Question is what a worker takes.
type Question struct {
	Handler string        `cbor:"handler"`
	Args    []string      `cbor:"args"`
	Timeout time.Duration `cbor:"timeout"`
}

// Session hands the conversation of a local caller to the shell worker.
type Session struct {
	User string   `cbor:"user"` // "root (uid 0, pid 4711)"
	Args []string `cbor:"args"`
}

// Attach asks the primary to hand this conversation to a worker that runs the
// command: that of a local caller to a shell worker, that of a worker to the agent.
type Attach struct {
	Args []string `cbor:"args"`
	User string   `cbor:"user,omitempty"` // for whom; a worker vouches for it
}

// Request is a value of package control: its type is the method, its fields are
// the Body.
type Request struct {
	Method string `cbor:"method"`
	User   string `cbor:"user"` // the sender vouches for it
	Body   []byte `cbor:"body,omitempty"`
	Follow bool   `cbor:"follow,omitempty"` // answer with the events of the job, up to its end
}

// Reply ends a request.
type Reply struct {
	Failure *control.Error `cbor:"failure,omitempty"`
	Body    []byte         `cbor:"body,omitempty"`
}

func (r *Reply) Err() error {
	if r.Failure == nil {
		return nil
	}
	return r.Failure
}

// Data is a piece of a stream.
type Data struct {
	Data []byte `cbor:"data,omitempty"`
	EOF  bool   `cbor:"eof,omitempty"`
}

// ExitStatus is how a command ended.
type ExitStatus struct {
	Status int `cbor:"status"`
}

// Boot is what a new worker reads from an inherited file: which worker it is, and
// its secret. It is never in the environment or in arguments.
type Boot struct {
	Cluster     string        `cbor:"cluster"`
	Version     string        `cbor:"version"`
	Pool        string        `cbor:"pool"`
	Slot        int           `cbor:"slot"`
	Generation  int           `cbor:"generation"`
	Incarnation uint64        `cbor:"incarnation"`
	Secret      []byte        `cbor:"secret"`
	Run         string        `cbor:"run"`
	State       string        `cbor:"state"` // state directory
	Beat        time.Duration `cbor:"beat"`
	Orphan      string        `cbor:"orphan,omitempty"` // policy without a primary
	OrphanAfter time.Duration `cbor:"orphan_after,omitempty"`
	Leave       *Drain        `cbor:"leave,omitempty"` // how it drains by its own wish; nil: by the defaults
	Listeners   []Inherited   `cbor:"listeners"`
	Sockets     []Socket      `cbor:"sockets,omitempty"`  // all of the pool, to be given back to the next primary
	Settings    []byte        `cbor:"settings,omitempty"` // of its pool, where they are not in the program
	Config      []byte        `cbor:"config,omitempty"`   // of the application, as JSON
	// Introduces says that this primary answers [TypePrepared].
	Introduces bool `cbor:"introduces,omitempty"`
}

// Inherited is a listening socket that the worker was started with.
type Inherited struct {
	Name string `cbor:"name"`
	Addr string `cbor:"addr"`
	FD   int    `cbor:"fd"`
}

// Socket is one listening socket of a pool.
type Socket struct {
	Name string `cbor:"name"` // of the listener
	Slot int    `cbor:"slot"` // its place in the group
	FD   int    `cbor:"fd,omitempty"`
}

// Sockets are some of a pool's sockets, each with a descriptor.
type Sockets struct {
	Sockets []Socket `cbor:"sockets"`
	Last    bool     `cbor:"last"` // all have been sent
	// Drop names listeners whose sockets are not to be kept any more.
	Drop []string `cbor:"drop,omitempty"`
}

// NotifySocket is the name in [Sockets] of that to which other programs send
// (sd_notify(3)). It is no listening socket, is not given back, and takes the place
// of an earlier one.
const NotifySocket = " notify"

// Heard is a message of another program that came while there was no primary.
type Heard struct {
	From []int  `cbor:"from"` // its sender, the parent of that, and so on
	Text []byte `cbor:"text"`
}

// Config is the configuration of the application that holds, as JSON.
type Config struct {
	Data []byte `cbor:"data"`
}

// ConfigDigest tells two configurations apart; empty if there is none.
func ConfigDigest(data []byte) string {
	if data == nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// Accept asks a worker to accept the connections that wait in sockets of other
// slots, on which no worker accepts now.
type Accept struct {
	Listener string `cbor:"listener"`
	Slots    []int  `cbor:"slots"`
}

// Upstreams are the processes of a pool to which the relay passes connections on. It
// takes the place of an earlier one for that pool.
type Upstreams struct {
	Pool    string     `cbor:"pool"`
	Serving []Upstream `cbor:"serving"`
	// Leaving are those that are to end: for each the relay says [TypeLeft] as soon
	// as no connection waits for its answer.
	Leaving []uint64 `cbor:"leaving,omitempty"`
}

// Upstream is one of them.
type Upstream struct {
	Incarnation uint64 `cbor:"incarnation"`
	Addr        string `cbor:"addr"` // private
}

// Left says that a process may be asked to end.
type Left struct {
	Incarnation uint64 `cbor:"incarnation"`
}

// FailureOf is err as it crosses the wire.
func FailureOf(err error) *control.Error {
	if err == nil {
		return nil
	}
	var e *control.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.DeadlineExceeded):
		return &control.Error{Code: control.ErrTimeout.Code, Message: err.Error()}
	default:
		return &control.Error{Code: control.ErrInternal.Code, Message: err.Error()}
	}
	return &control.Error{Code: e.Code, Message: err.Error(), Hint: e.Hint, Job: e.Job}
}

// ReadBoot reads the boot message of a new worker.
func ReadBoot(r io.Reader, b *Boot) error {
	data, err := io.ReadAll(io.LimitReader(r, MessageLimit))
	if err != nil {
		return err
	}
	return decoding.Unmarshal(data, b)
}

// Mail asks for a stream to the mailbox of a worker, or for the slots of a pool. To
// the receiver it tells whose stream it is.
type Mail struct {
	To          string `cbor:"to,omitempty"`   // "jobs/0", or "jobs"
	From        string `cbor:"from,omitempty"` // the sending worker
	Incarnation uint64 `cbor:"incarnation,omitempty"`
	Peer        uint64 `cbor:"peer"` // tells the streams of a process apart
}

// Mailbox tells the sender which marks the receiver has: its own line, and those
// that it has inherited.
type Mailbox struct {
	Lines []uint64 `cbor:"lines"`
}

// Slots are those of a pool.
type Slots struct {
	Slots int   `cbor:"slots"`
	Ready []int `cbor:"ready"`
}
