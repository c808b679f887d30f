package control

// Error is a failure as it is shown to a person or program: a stable code, a line
// to read and, if there is advice, a hint. Code, Message, Hint and Job cross the
// wire.
type Error struct {
	Code    string `cbor:"code" json:"code"`           // one of the codes below, or a word of an application; never changes its meaning
	Message string `cbor:"message" json:"message"`     // one line, lower case, no full stop; empty: the text of Err
	Hint    string `cbor:"hint,omitempty" json:"hint"` // a command to try; may be empty
	Job     string `cbor:"job,omitempty" json:"-"`     // with ErrBusy, the job that is in the way; may be empty

	Status  int      `cbor:"-" json:"-"`                 // exit status, 1 to 254; 0: the one of Code, or 1
	Lines   []string `cbor:"-" json:"lines,omitempty"`   // more lines to read, such as one for each worker that failed
	Details any      `cbor:"-" json:"details,omitempty"` // more for programs: "details" of the JSON error
	Err     error    `cbor:"-" json:"-"`                 // the cause; may be nil
}

func (e *Error) Error() string {
	switch {
	case e == nil: // in an error: a slip of an application, not ours to panic at
		return "no error"
	case e.Message == "" && e.Err != nil:
		return e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// Is reports whether target is an *Error of the same code and, if it names one,
// the same status: so the sentinels below match whatever the text is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Status == 0 || t.Status == e.Status)
}

// Sentinels, to be matched with errors.Is. What the cluster returns has the
// same code and a message of its own.
var (
	ErrNoWorker     = &Error{Code: "no_such_worker", Message: "no such worker", Hint: "worker list"}
	ErrNoPool       = &Error{Code: "no_such_pool", Message: "no such pool", Hint: "status"}
	ErrNoJob        = &Error{Code: "no_such_job", Message: "no such job", Hint: "job list"}
	ErrNoGeneration = &Error{Code: "no_such_generation", Message: "no such generation", Hint: "generation list"}
	ErrNoHandler    = &Error{Code: "no_such_handler", Message: "no such handler"}
	ErrUsage        = &Error{Code: "usage", Message: "wrong usage"}
	ErrDenied       = &Error{Code: "denied", Message: "denied"}
	ErrBusy         = &Error{Code: "busy", Message: "busy", Hint: "job list"}
	ErrConflict     = &Error{Code: "conflict", Message: "changed meanwhile"}
	ErrStopping     = &Error{Code: "stopping", Message: "the cluster is stopping"}
	ErrUnavailable  = &Error{Code: "unavailable", Message: "no primary"}
	ErrTimeout      = &Error{Code: "timeout", Message: "timed out"}
	ErrInternal     = &Error{Code: "internal", Message: "internal error"}
)
