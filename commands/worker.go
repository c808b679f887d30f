package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

// workerInfo without an ID is the command that scripts run every second: it
// asks the cluster once.
func workerInfo(ctx context.Context, call *Call) error {
	ids, err := call.Words(0, 1)
	if err != nil {
		return err
	}
	if len(ids) == 1 {
		return call.workerDetail(ctx, ids[0])
	}
	s, err := call.status(ctx)
	if err != nil {
		return err
	}
	n := count(s)
	if call.JSON {
		return call.WriteJSON(n)
	}
	_, err = fmt.Fprintf(call.Out, "%17s: %d\n%17s: %d\n%17s: %d\n",
		"Current Workers", n.Current, "Target Workers", n.Target, "Dead Workers", n.Dead)
	return err
}

func (c *Call) workerDetail(ctx context.Context, id string) error {
	w, err := c.worker(ctx, id)
	if err != nil {
		return err
	}
	if c.JSON {
		return c.WriteJSON(map[string]any{"worker": viewDetail(w)})
	}
	_, err = c.Out.Write([]byte(c.detailPage(w)))
	return err
}

func (c *Call) worker(ctx context.Context, id string) (control.WorkerDetail, error) {
	return answer(ctx, func(ctx context.Context) (control.WorkerDetail, error) {
		return c.Primary.Worker(ctx, id)
	})
}

// detailPage is lines of "key: value"; new keys come at the end of those that
// are always there, so that the first lines stay what they are.
func (c *Call) detailPage(w control.WorkerDetail) string {
	var b strings.Builder
	now := time.Now()
	line := func(key, value string) { fmt.Fprintf(&b, "%s: %s\n", key, Safe(value)) }
	line("id", w.ID)
	line("pid", number(w.PID))
	fmt.Fprintf(&b, "state: %s\n", c.paint(stateStyle(w.State, w.Silent), Safe(stateText(w.WorkerInfo))))
	line("generation", strconv.Itoa(w.Generation))
	line("up", age(w.Up))
	line("restarts", strconv.Itoa(w.Restarts))
	line("cpu", fmt.Sprintf("%.2fs", w.CPU.Seconds()))
	line("rss", size(w.RSS))
	line("connections", strconv.Itoa(w.Connections))
	line("requests", strconv.FormatInt(w.Requests, 10))
	line("hijacked", strconv.Itoa(w.Hijacked))
	if w.Successor != nil {
		line("successor", describeProcess(*w.Successor, now))
	}
	for _, p := range w.Outgoing {
		line("outgoing", describeProcess(p, now))
	}
	line("exits", strconv.Itoa(len(w.Exits)))
	for _, e := range w.Exits {
		fmt.Fprintf(&b, "  %s pid %d generation %d after %s: %s\n",
			e.Time.Local().Format(stamp), e.PID, e.Generation, age(e.Uptime), Safe(describeExit(e)))
	}
	line("last lines", strconv.Itoa(len(w.Lines)))
	for _, l := range w.Lines {
		fmt.Fprintf(&b, "  %s\n", Safe(l))
	}
	return b.String()
}

func describeProcess(p control.Process, now time.Time) string {
	text := fmt.Sprintf("pid %d generation %d %s", p.PID, p.Generation, p.State)
	if p.State == control.Draining {
		text += fmt.Sprintf(", %d connection%s", p.Connections, plural(p.Connections)) + atMost(p, now)
	}
	return text
}

func stateText(w control.WorkerInfo) string {
	if w.Silent {
		return string(w.State) + " (silent)"
	}
	return string(w.State)
}

func workerList(ctx context.Context, call *Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	workers, err := answer(ctx, call.Primary.Workers)
	if err != nil {
		return err
	}
	if call.JSON {
		views := []workerView{}
		for _, w := range workers {
			views = append(views, viewWorker(w))
		}
		return call.WriteJSON(map[string]any{"workers": views})
	}
	var rows [][]string
	for _, w := range workers {
		rows = append(rows, workerRow(w))
	}
	_, err = call.Out.Write([]byte(call.table(
		[]string{"ID", "PID", "STATE", "GENERATION", "UP", "RESTARTS", "CPU", "RSS", "CONNECTIONS", "LAST EXIT"}, rows,
		func(row, column int) style {
			if column != 2 {
				return normal
			}
			return stateStyle(workers[row].State, workers[row].Silent)
		},
	)))
	return err
}

func workerRow(w control.WorkerInfo) []string {
	last := "-"
	if w.LastExit != nil {
		last = describeExit(*w.LastExit)
	}
	return []string{
		w.ID, number(w.PID), stateText(w), strconv.Itoa(w.Generation), age(w.Up), strconv.Itoa(w.Restarts),
		w.CPU.Truncate(10 * time.Millisecond).String(), size(w.RSS), strconv.Itoa(w.Connections), last,
	}
}
