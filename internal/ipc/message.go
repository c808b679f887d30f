package ipc

import (
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
	TypeRefused = "refused" // Failure: then the connection is closed

	TypeReady   = "ready"   // worker: it serves
	TypeBeat    = "beat"    // Beat
	TypeDrain   = "drain"   // Drain: stop taking work
	TypeLeaving = "leaving" // worker: it ends by itself, send work elsewhere
	TypeClosed  = "closed"  // worker: accepts no more connections
	TypeDrained = "drained" // Drained: it has finished and exits
	TypeLegacy  = "legacy"  // one descriptor: take over the connections of a worker that drains
	TypeMove    = "move"    // Move, with descriptors: from a worker that drains to its heir
	TypeMoved   = "moved"   // Moved: the answer
	TypeInvite  = "invite"  // Invite: come and take a question
	TypeSockets = "sockets" // Sockets, with descriptors: the pool's, to keep or to give back
	TypeSession = "session" // Session, one descriptor: a local caller's conversation

	TypeRequest = "request" // Request
	TypeItem    = "item"    // one element of a streamed answer
	TypeIdle    = "idle"    // the streamed answer goes on
	TypeReply   = "reply"   // Reply: the answer, or the end of it

	TypeOpen    = "open"    // OpenFile: a file in the primary's custody
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

// The purposes.
const (
	PurposeControl Purpose = "control" // a worker's lasting conversation
	PurposeRequest Purpose = "request" // one request
	PurposeTake    Purpose = "take"    // take the question of an invite
	PurposeCustody Purpose = "custody" // one thing of the state directory
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

	// The whole truth of a worker that comes back to a primary.
	Ready    bool `cbor:"ready,omitempty"`
	Leaving  bool `cbor:"leaving,omitempty"`
	Draining bool `cbor:"draining,omitempty"`
	Closed   bool `cbor:"closed,omitempty"` // accepts no more connections
	Kept     int  `cbor:"kept,omitempty"`   // sockets of the pool that it could give back
}

// Welcome answers a hello.
type Welcome struct {
	Protocol int    `cbor:"protocol"`
	Name     string `cbor:"name"` // of the cluster
	PID      int    `cbor:"pid"`  // of the primary
	// Sockets asks the worker to give back the pool's sockets: this primary
	// has not opened them.
	Sockets bool `cbor:"sockets,omitempty"`
}

// Beat says that the worker's program runs, and how it does.
type Beat struct {
	Connections int   `cbor:"connections"`
	Requests    int64 `cbor:"requests"`
	Hijacked    int   `cbor:"hijacked,omitempty"` // of the connections: taken over by handlers
}

// Drain asks a worker to stop taking work and to end. With a descriptor it
// names who takes its idle connections: the other end of the pair came to that
// one by [TypeLegacy].
type Drain struct {
	// Linger keeps the listeners open during the lame duck: no successor
	// accepts on them, and what is already queued must be served.
	Linger   bool          `cbor:"linger"`
	LameDuck time.Duration `cbor:"lame_duck"`
	// Deadline is when what still runs is cut; 0: never.
	Deadline time.Duration `cbor:"deadline"`
	// Final is set when the whole cluster stops: lasting sessions end too.
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

// Attach asks the primary to hand this conversation to a shell worker.
type Attach struct {
	Args []string `cbor:"args"`
}

// Request asks for a method of [control.Control]. The body of the message
// holds it; Body is the method's own argument.
type Request struct {
	Method string `cbor:"method"`
	User   string `cbor:"user"` // whom the sender vouches for
	Body   []byte `cbor:"body,omitempty"`
}

// Reply ends a request.
type Reply struct {
	Failure *Failure `cbor:"failure,omitempty"`
	Body    []byte   `cbor:"body,omitempty"`
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

// Boot is what a new worker reads from its inherited pipe: who it is and how
// to prove it. It never travels in the environment or in arguments.
type Boot struct {
	Cluster     string        `cbor:"cluster"`
	Version     string        `cbor:"version"`
	Pool        string        `cbor:"pool"`
	Slot        int           `cbor:"slot"`
	Generation  int           `cbor:"generation"`
	Incarnation uint64        `cbor:"incarnation"`
	Secret      []byte        `cbor:"secret"`
	Run         string        `cbor:"run"`   // run directory
	State       string        `cbor:"state"` // state directory
	Beat        time.Duration `cbor:"beat"`
	Orphan      string        `cbor:"orphan,omitempty"` // policy without a primary
	OrphanAfter time.Duration `cbor:"orphan_after,omitempty"`
	Listeners   []Inherited   `cbor:"listeners"`
	Sockets     []Socket      `cbor:"sockets,omitempty"` // all of the pool, to be given back to the next primary
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
}

// Failure is an error on the wire.
type Failure struct {
	Code    string `cbor:"code"`
	Message string `cbor:"message"`
	Hint    string `cbor:"hint,omitempty"`
}

// FailureOf is err for the wire.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	var e *control.Error
	if !errors.As(err, &e) {
		return &Failure{Code: control.ErrInternal.Code, Message: err.Error()}
	}
	return &Failure{Code: e.Code, Message: err.Error(), Hint: e.Hint}
}

// Err is the failure as an error; nil when there is none.
func (f *Failure) Err() error {
	if f == nil {
		return nil
	}
	return &control.Error{Code: f.Code, Message: f.Message, Hint: f.Hint}
}

// ReadBoot reads the boot message of a new worker.
func ReadBoot(r io.Reader, b *Boot) error {
	data, err := io.ReadAll(io.LimitReader(r, MessageLimit))
	if err != nil {
		return err
	}
	return decoding.Unmarshal(data, b)
}
