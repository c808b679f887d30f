package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/norestart/norestart/control"
)

// WriteJSON writes v as one line: a JSON object that begins with "version":1.
// v must encode as an object and have no field of that name. By convention
// times are RFC 3339, durations seconds and sizes bytes.
func (c *Call) WriteJSON(v any) error {
	text, err := versioned(v)
	if err != nil {
		return err
	}
	_, err = c.Out.Write(text)
	return err
}

// writeLine writes v as one line of a stream.
func (c *Call) writeLine(v any) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	_, err = c.Out.Write(text)
	return err
}

// writePlaced is writeLine with a place behind the line.
func (c *Call) writePlaced(v any, place string) error {
	text, err := encode(v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c.Out, c.placed(string(text), place))
	return err
}

func versioned(v any) ([]byte, error) {
	text, err := encode(v)
	if err != nil {
		return nil, err
	}
	fields, ok := bytes.CutPrefix(text, []byte("{"))
	if !ok {
		return nil, fmt.Errorf("encode %T: not an object", v)
	}
	if bytes.HasPrefix(fields, []byte("}")) {
		return []byte("{\"version\":1}\n"), nil
	}
	return append([]byte(`{"version":1,`), fields...), nil
}

// encode returns v as JSON with a line break, harmless on a terminal.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return safeJSON(b.Bytes()), nil
}

// The views give the types of control their JSON form: fields of the embedded
// value with the same name are hidden.
type workerView struct {
	control.WorkerInfo
	Up       float64           `json:"up"`
	CPU      float64           `json:"cpu"`
	LastExit *exitView         `json:"last_exit"`
	Outgoing []control.Process `json:"outgoing"`
}

type exitView struct {
	control.Exit
	Uptime float64 `json:"uptime"`
}

type detailView struct {
	workerView
	Exits []exitView `json:"exits"`
	Lines []string   `json:"lines"`
}

func viewWorker(w control.WorkerInfo) workerView {
	v := workerView{WorkerInfo: w, Up: seconds(w.Up), CPU: seconds(w.CPU), Outgoing: full(w.Outgoing)}
	if w.LastExit != nil {
		v.LastExit = new(viewExit(*w.LastExit))
	}
	return v
}

func viewExit(e control.Exit) exitView { return exitView{Exit: e, Uptime: seconds(e.Uptime)} }

func viewDetail(w control.WorkerDetail) detailView {
	v := detailView{workerView: viewWorker(w.WorkerInfo), Exits: []exitView{}, Lines: full(w.Lines)}
	for _, e := range w.Exits {
		v.Exits = append(v.Exits, viewExit(e))
	}
	return v
}

func viewStatus(s control.Status) control.Status {
	s.Pools = append([]control.PoolStatus{}, s.Pools...)
	for i := range s.Pools {
		s.Pools[i].Listen = full(s.Pools[i].Listen)
	}
	s.Jobs = viewJobs(s.Jobs)
	return s
}

func viewJobs(jobs []control.Job) []control.Job {
	views := []control.Job{}
	for _, j := range jobs {
		j.Pools = full(j.Pools)
		views = append(views, j)
	}
	return views
}

// full returns s, or an empty slice for nil: [] in JSON, never null.
func full[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func seconds(d time.Duration) float64 { return d.Seconds() }
