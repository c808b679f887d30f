package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

// happening is an event as a hook is told of it.
type happening struct {
	Version int          `json:"version"` // 1
	ID      string       `json:"id"`      // the same when it is told again
	Cluster string       `json:"cluster"`
	Event   string       `json:"event"`
	Time    time.Time    `json:"time"`
	Pool    string       `json:"pool,omitempty"`
	Worker  string       `json:"worker,omitempty"`
	PID     int          `json:"pid,omitempty"`
	User    string       `json:"user,omitempty"` // who asked for it
	Text    string       `json:"text"`
	Job     *control.Job `json:"job,omitempty"`
}

func happened(ctx context.Context, c control.Control, cluster, name string, e control.Event) happening {
	h := happening{
		Version: 1, ID: fmt.Sprintf("%d-%d", e.Epoch, e.Seq), Cluster: cluster, Event: name, Time: e.Time,
		Pool: poolOf(e.Worker), Worker: e.Worker, PID: e.PID, User: e.User, Text: e.Text,
	}
	if j, ok := jobOf(ctx, c, e); ok {
		h.Job = &j
	}
	return h
}

// env is the event as variables, for scripts that read no JSON.
func (h happening) env() []string {
	all := []string{
		"NORESTART_EVENT=" + h.Event, "NORESTART_EVENT_ID=" + h.ID, "NORESTART_EVENT_CLUSTER=" + h.Cluster,
		"NORESTART_EVENT_TIME=" + h.Time.Format(time.RFC3339), "NORESTART_EVENT_TEXT=" + h.Text,
		"NORESTART_EVENT_POOL=" + h.Pool, "NORESTART_EVENT_WORKER=" + h.Worker, "NORESTART_EVENT_USER=" + h.User,
	}
	if h.PID != 0 {
		all = append(all, "NORESTART_EVENT_PID="+strconv.Itoa(h.PID))
	}
	if h.Job != nil {
		all = append(all, "NORESTART_EVENT_JOB="+h.Job.ID)
	}
	for i, v := range all {
		all[i] = strings.ReplaceAll(v, "\x00", "") // execve(2) ends a variable there
	}
	return all
}

// poster keeps no connection open: events are rare.
var poster = http.Client{
	Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a POST would become a GET
}

// post sends the event to a web hook. The address stays out of errors: it may be
// a secret.
func post(ctx context.Context, to string, what happening) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return errors.New("its url is none")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "norestart")
	answer, err := poster.Do(r)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if err != nil {
		return because(ctx, err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // what it says is not asked for
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %s", answer.Status)
	}
	return nil
}

// because prefers why ctx ended to what its end did.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
