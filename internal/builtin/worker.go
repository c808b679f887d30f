package builtin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
)

func workerCommands() []commands.Command {
	return []commands.Command{
		{
			Name: "worker info", Role: commands.Viewer, Group: groupLook, Flags: watchFlags, Run: watched(0, 1, workerInfo), Complete: first(commandline.AnyWorker),
			Usage: "[ID]", Summary: "how many workers there are, or all about one",
			Help: "Current counts the workers that are ready, Target those that should be, Dead those\n" +
				"that were given up, all without built-in pools. With an ID such as web/2: its process,\n" +
				"its last exits and the last lines that it wrote.",
		},
		{
			Name: "worker list", Role: commands.Viewer, Group: groupLook, Flags: watchFlags, Run: watched(0, 0, workerList),
			Summary: "all workers, one line each, with those of built-in pools",
		},
		{
			Name: "worker revive", Role: commands.Operator, Group: groupChange, Flags: detachFlag, Run: run(0, -1, workerRevive), Complete: others(deadWorkers),
			Usage: "[ID…]", Summary: "start dead workers again, or those named",
			Help: "Without an ID: all dead workers, but none that was stopped: name that one by its ID.\n" +
				"Waits until they are ready. A worker that waits for its schedule is started now.",
		},
		{
			Name: "worker restart", Role: commands.Operator, Group: groupChange, Flags: jobFlags, Run: run(1, 1, workerRestart), Complete: first(commandline.AnyWorker),
			Usage: "ID", Summary: "replace one worker by a new process of the same generation",
		},
		{
			Name: "worker stop", Ends: true, Role: commands.Operator, Group: groupChange, Flags: lastFlags, Run: run(1, 1, workerStop), Complete: first(commandline.AnyWorker),
			Usage: "ID", Summary: "stop one worker until it is revived",
			Help: "Asks for the cluster's name before the last worker of a pool ends; where it cannot ask,\n" +
				"--yes is needed.",
		},
		{
			Name: "worker attach", Role: commands.Operator, Group: groupChange, Flags: attachFlags, Run: run(1, 1, workerAttach), Complete: first(commandline.AnyWorker),
			Usage: "ID", Summary: "connect your terminal to that of one worker",
			Help: "Keys go to the program, what it shows comes to you, the last 16 KiB of before at first.\n" +
				"Ctrl-] detaches; the program runs on. One person types at a time; with --read-only any\n" +
				"number may look. The pool needs tty = true, and you a terminal: ssh -t. It goes on over a\n" +
				"change of the primary, and ends with the process, or with --follow passes to the next.",
		},
		{
			Name: "worker signal", Role: commands.Operator, Group: groupChange, Flags: noFlags, Run: run(2, 2, workerSignal), Complete: workerThenSignal,
			Usage: "ID SIGNAL", Summary: "send a signal to the process group of one worker",
			Help: "Only the process that runs now gets it: if that is replaced meanwhile, none does.",
		},
	}
}

// workerInfo without an ID asks the cluster only once: scripts run it every
// second.
func workerInfo(ctx context.Context, call *Call) error {
	if len(call.Args) > 1 {
		return call.workerDetail(ctx, call.Args[1])
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
	return c.write(c.detailPage(w))
}

func (c *Call) worker(ctx context.Context, id string) (control.WorkerDetail, error) {
	return get(ctx, c.Primary, control.WorkerQuery{ID: id})
}

// detailPage is lines of "key: value". New keys go to the end of those that are
// always there.
func (c *Call) detailPage(w control.WorkerDetail) string {
	var b strings.Builder
	now := time.Now()
	line := func(key, value string) { fmt.Fprintf(&b, "%s: %s\n", key, commands.Safe(value)) }
	line("id", w.ID)
	line("pid", number(w.PID))
	fmt.Fprintf(&b, "state: %s\n", c.paint(stateStyle(w.State, amiss(w.WorkerInfo)), commands.Safe(stateText(w.WorkerInfo))))
	line("generation", strconv.Itoa(w.Generation))
	line("up", age(w.Up))
	line("restarts", strconv.Itoa(w.Restarts))
	line("cpu", fmt.Sprintf("%.2fs", w.CPU.Seconds()))
	line("rss", size(w.RSS))
	line("connections", strconv.Itoa(w.Connections))
	line("requests", strconv.FormatInt(w.Requests, 10))
	line("hijacked", strconv.Itoa(w.Hijacked))
	if w.Status != "" {
		line("status", w.Status)
	}
	if w.Stored > 0 {
		line("stored", strconv.Itoa(w.Stored))
	}
	if w.Health != "" || w.Failure != "" {
		line("health", strings.Trim(string(w.Health)+": "+w.Failure, ": "))
	}
	if w.Private != "" {
		line("private", w.Private)
	}
	if !w.Next.IsZero() {
		line("next run", w.Next.Local().Format(stamp))
	}
	if w.Successor != nil {
		line("successor", describeProcess(*w.Successor, now))
	}
	for _, p := range w.Outgoing {
		line("outgoing", describeProcess(p, now))
	}
	line("exits", strconv.Itoa(len(w.Exits)))
	for _, e := range w.Exits {
		fmt.Fprintf(&b, "  %s pid %d generation %d after %s: %s\n",
			e.Time.Local().Format(stamp), e.PID, e.Generation, age(e.Uptime), commands.Safe(describeExit(e)))
	}
	line("last lines", strconv.Itoa(len(w.Lines)))
	for _, l := range w.Lines {
		fmt.Fprintf(&b, "  %s\n", commands.Safe(l))
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
	switch {
	case w.Silent:
		return string(w.State) + " (silent)"
	case w.Health == control.Unhealthy:
		return string(w.State) + " (unhealthy)"
	case !w.Reloading.IsZero():
		return string(w.State) + " (reloading)"
	}
	return string(w.State)
}

// amiss reports whether a worker is not as its state says.
func amiss(w control.WorkerInfo) bool { return w.Silent || w.Health == control.Unhealthy }

func workerList(ctx context.Context, call *Call) error {
	workers, err := get(ctx, call.Primary, control.WorkersQuery{})
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
	return call.write(call.table(
		[]string{"ID", "PID", "STATE", "GENERATION", "UP", "RESTARTS", "CPU", "RSS", "CONNECTIONS", "LAST EXIT"}, rows,
		func(row, column int) style {
			if column != 2 {
				return normal
			}
			return stateStyle(workers[row].State, amiss(workers[row]))
		},
	))
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

func workerRevive(ctx context.Context, call *Call) error {
	return call.begin(ctx, control.ReviveRequest{IDs: call.Args[1:]})
}

func workerRestart(ctx context.Context, call *Call) error {
	return call.begin(ctx, control.RestartWorkerRequest{ID: call.Args[1]})
}

func workerStop(ctx context.Context, call *Call) error {
	if err := call.confirmLast(ctx, call.Args[1]); err != nil {
		return err
	}
	return call.begin(ctx, control.StopWorkerRequest{ID: call.Args[1]})
}

// confirmLast asks before the last running worker of a pool ends.
func (c *Call) confirmLast(ctx context.Context, id string) error {
	if c.given("yes") {
		return nil
	}
	workers, err := get(ctx, c.Primary, control.WorkersQuery{})
	if err != nil {
		return err
	}
	pool, last := "", true
	for _, w := range workers {
		switch {
		case w.ID == id && w.PID != 0 && !w.BuiltIn: // those are refused
			pool = w.Pool
		case w.ID != id && w.PID != 0 && strings.HasPrefix(id, w.Pool+"/"):
			last = false
		}
	}
	if pool == "" || !last {
		return nil
	}
	return c.Confirm(fmt.Sprintf("This ends the last worker of %s that runs.", pool))
}

// workerSignal names the incarnation that it saw, so that a late signal does not
// hit the next process.
func workerSignal(ctx context.Context, call *Call) error {
	w, err := call.worker(ctx, call.Args[1])
	if err != nil {
		return err
	}
	if w.PID == 0 {
		return &control.Error{Code: "not_running", Message: "worker " + w.ID + " has no process: it is " + string(w.State)}
	}
	r := control.SignalRequest{ID: w.ID, Signal: strings.ToUpper(call.Args[2]), Incarnation: w.Incarnation}
	_, err = answer(ctx, func(ctx context.Context) (control.Job, error) { return call.Primary.Do(ctx, r, nil) })
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"worker": w.ID, "pid": w.PID, "signal": r.Signal})
	}
	call.Printf("sent %s to worker %s, pid %d\n", commands.Safe(r.Signal), commands.Safe(w.ID), w.PID)
	return nil
}
