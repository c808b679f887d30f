package control

// Error is a failure that crosses the wire: a stable code, a line for a person
// and, where there is one, what to do instead.
type Error struct {
	Code    string // one of the codes below; never changes its meaning
	Message string // one line, lower case, no full stop
	Hint    string // a command to try; may be empty
}

func (e *Error) Error() string { return e.Message }

// Is reports whether target is an *Error of the same code, so that the
// sentinels below match whatever the text is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
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
