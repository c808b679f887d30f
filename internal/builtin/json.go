package builtin

import (
	"time"

	"github.com/norestart/norestart/control"
)

// The views are the JSON form of types of control. They hide fields of the
// embedded value with the same name.
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
	v := workerView{WorkerInfo: w, Up: w.Up.Seconds(), CPU: w.CPU.Seconds(), Outgoing: full(w.Outgoing)}
	if w.LastExit != nil {
		v.LastExit = new(viewExit(*w.LastExit))
	}
	return v
}

func viewExit(e control.Exit) exitView { return exitView{Exit: e, Uptime: e.Uptime.Seconds()} }

func viewDetail(w control.WorkerDetail) detailView {
	v := detailView{workerView: viewWorker(w.WorkerInfo), Exits: []exitView{}, Lines: full(w.Lines)}
	for _, e := range w.Exits {
		v.Exits = append(v.Exits, viewExit(e))
	}
	return v
}

type statusView struct {
	control.Status
	Well    bool     `json:"well"`
	Trouble []string `json:"trouble"` // why not, a line each
}

func viewStatus(s control.Status, now time.Time) statusView {
	s.Pools = append([]control.PoolStatus{}, s.Pools...)
	for i := range s.Pools {
		s.Pools[i].Listen = full(s.Pools[i].Listen)
	}
	s.Jobs = viewJobs(s.Jobs)
	return statusView{s, s.Well(), full(trouble(s, now))}
}

func viewJobs(jobs []control.Job) []control.Job {
	views := []control.Job{}
	for _, j := range jobs {
		j.Pools = full(j.Pools)
		views = append(views, j)
	}
	return views
}

// full returns s, or an empty slice for nil, which JSON would show as null.
func full[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
