package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/worker"
)

// errAnswered ends the following of a job whose caller knows all that there is.
var errAnswered = errors.New("answered")

// update lets a service replace itself: the pool reloads, and the answer has a
// line for each worker. The one that serves this request goes last and is told
// so by the event "next": it answers then, and is replaced when it has. A real
// service looks first who asks.
func update(rw http.ResponseWriter, req *http.Request, w *worker.Worker) {
	cluster := w.Control("")
	var lines strings.Builder
	r := control.ReloadRequest{Pools: []string{w.Pool()}}
	job, err := cluster.Do(req.Context(), r, func(e control.JobEvent) error {
		if e.Event == control.StepAccepted {
			return nil
		}
		fmt.Fprintln(&lines, e.Text)
		if e.Event != control.StepNext {
			return nil
		}
		answer(rw, http.StatusOK, lines.String())
		return errAnswered
	})
	switch {
	case errors.Is(err, errAnswered):
	case err != nil:
		refuse(rw, err)
	default: // it ended before this worker was next
		answer(rw, http.StatusInternalServerError, lines.String()+job.Error+"\n")
	}
}

func refuse(rw http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, control.ErrBusy):
		code = http.StatusConflict
	case errors.Is(err, control.ErrUnavailable), errors.Is(err, control.ErrStopping):
		code = http.StatusServiceUnavailable
	}
	answer(rw, code, err.Error()+"\n")
}

// answer sends the whole answer now: with its length known, the client has all
// of it before the handler returns.
func answer(rw http.ResponseWriter, code int, text string) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Content-Length", strconv.Itoa(len(text)))
	rw.WriteHeader(code)
	_, _ = fmt.Fprint(rw, text)                // the client has gone: its loss
	_ = http.NewResponseController(rw).Flush() // the same
}
