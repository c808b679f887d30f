package control

import "time"

// CallRequest asks every ready worker of a pool. Each answer or failure comes as
// it is given; the stream ends when all have answered or failed.
type CallRequest struct {
	Pool    string
	Handler string
	Args    []string
	Timeout time.Duration // 0: 5 s
}

// CallReply is one worker's answer to a call.
type CallReply struct {
	Worker     string
	Generation int // of that worker; 0: the primary does not tell
	Data       []byte
	Error      string // empty: it answered
	Code       string // of the error, as in [Error]; empty: none is known
}
