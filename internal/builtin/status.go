package builtin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func statusCommand() commands.Command {
	return commands.Command{
		Name: "status", Role: commands.Viewer, Group: groupLook, Flags: watchFlags, Run: watched(0, 0, status),
		Summary: "whether the cluster is well, and if not, why",
		Help: "The first line tells whether all is well. Then come the primary, the admin port, each\n" +
			"pool with its target, the jobs that run, and what is wrong, with what to type next.",
	}
}

func status(ctx context.Context, call *Call) error {
	s, err := call.status(ctx)
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(viewStatus(s, time.Now()))
	}
	notes, err := call.look(ctx, s, time.Now())
	if err != nil {
		return err
	}
	return call.write(call.statusPage(s, notes, time.Now()))
}

// statusPage is the whole answer; its first line is enough on a good day.
func (c *Call) statusPage(s control.Status, notes []note, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", commands.Safe(s.Name), c.wellness(s, now))
	if s.Primary != nil {
		fmt.Fprintf(&b, "primary %d, up %s\n", s.Primary.PID, age(now.Sub(s.Primary.Since)))
	}
	fmt.Fprintf(&b, "admin port %s\n", commands.Safe(dash(s.Admin)))
	b.WriteString(c.poolTable(s.Pools))
	for _, j := range s.Jobs {
		fmt.Fprintf(&b, "job %s\n", describeJob(j, now))
	}
	for _, p := range s.Pools {
		if !p.Next.IsZero() {
			fmt.Fprintf(&b, "%s: next run %s\n", commands.Safe(p.Name), p.Next.Local().Format(stamp))
		}
		if !p.NextReload.IsZero() {
			fmt.Fprintf(&b, "%s: next reload %s\n", commands.Safe(p.Name), p.NextReload.Local().Format(stamp))
		}
		if p.LastFailure != "" && !tells(notes, p.LastFailure) {
			fmt.Fprintf(&b, "%s: %s\n", commands.Safe(p.Name), commands.Safe(p.LastFailure))
		}
		if fails(p) {
			fmt.Fprintf(&b, "%s runs %s. next: rollback %s, to generation %d\n", commands.Safe(p.Name), commands.Safe(judged(*p.Failing, now)), commands.Safe(p.Name), p.Back)
		}
		if len(p.Differs) > 0 {
			fmt.Fprintf(&b, "%s: configuration differs, %s: %s\n", commands.Safe(p.Name), commands.Safe(strings.Join(p.Differs, ", ")), commands.Safe(reloads(p, now)))
		}
	}
	for _, note := range notes {
		fmt.Fprintf(&b, "%s\n", commands.Safe(note.text))
	}
	return b.String()
}

// reloads is the command that brings a pool up to date; "reload" alone leaves
// built-in pools as they are. It advises against a build that has failed before.
func reloads(p control.PoolStatus, now time.Time) string {
	command := "reload"
	if p.BuiltIn {
		command += " " + p.Name
	}
	if p.Tried != nil {
		return fmt.Sprintf("this is %s. next: change it, then %s", judged(*p.Tried, now), command)
	}
	return command
}

// fails reports whether a pool runs a bad generation and ran a good one before.
func fails(p control.PoolStatus) bool { return p.Failing != nil && p.Back != 0 }

// judged tells what became of a generation, when and why.
func judged(v control.Verdict, now time.Time) string {
	text := fmt.Sprintf("generation %d, which failed", v.Generation)
	if v.Outcome == control.RolledBack {
		text = fmt.Sprintf("generation %d, which was rolled back", v.Generation)
	}
	if !v.Time.IsZero() {
		text += fmt.Sprintf(" at %s, %s ago", v.Time.Local().Format(stamp), age(now.Sub(v.Time)))
	}
	if v.Why != "" {
		text += ": " + v.Why
	}
	return text
}

func (c *Call) wellness(s control.Status, now time.Time) string {
	if !s.Well() {
		return c.paint(bad, "NOT WELL") + ": " + commands.Safe(strings.Join(trouble(s, now), "; "))
	}
	return c.paint(good, "well") + ", " + readiness(s)
}

// trouble names what is not as it should be, built-in pools included.
func trouble(s control.Status, now time.Time) []string {
	var list []string
	if s.Primary == nil {
		list = append(list, "no primary")
	}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, p := range s.Pools {
		switch short := p.Short(); {
		case p.Dead > 0:
			add("%s has %d dead worker%s (%s)", p.Name, p.Dead, plural(p.Dead), cureOfDead(p))
		case short > 0:
			add("%s has %d of %d workers ready", p.Name, p.Ready, p.Target)
		case p.Off():
			add("%s", offText(p))
		}
		if p.Silent > 0 {
			add("%s has %d silent worker%s (worker list)", p.Name, p.Silent, plural(p.Silent))
		}
		if p.Unhealthy > 0 {
			add("%s has %d unhealthy worker%s (worker list)", p.Name, p.Unhealthy, plural(p.Unhealthy))
		}
		if p.Overdue > 0 {
			add("%s has %d worker%s that began to reload and did not say in time that it is done (worker list)", p.Name, p.Overdue, plural(p.Overdue))
		}
		if p.CrashesAgain() {
			add("%s", crashText(p, now))
		}
	}
	return list
}

func cureOfDead(p control.PoolStatus) string {
	if fails(p) {
		return fmt.Sprintf("generation %d fails: rollback %s", p.Generation, p.Name)
	}
	return "worker revive"
}

func crashText(p control.PoolStatus, now time.Time) string {
	c := p.Crashes
	text := fmt.Sprintf("%s crashed %d times in %s, last %s ago", p.Name, c.Count, age(now.Sub(c.Since)), age(now.Sub(c.Last)))
	return text + because(c.Cause)
}

// offText tells of a pool that was switched off, and how to switch it on.
func offText(p control.PoolStatus) string {
	if p.Target > 0 {
		return fmt.Sprintf("%s is off: all its workers were stopped by an operator (worker revive ID)", p.Name)
	}
	n := targetText(p.Configured)
	return fmt.Sprintf("%s is off: scaled to 0, configured %s (scale %s %s)", p.Name, n, p.Name, n)
}

func (c *Call) poolTable(pools []control.PoolStatus) string {
	var rows [][]string
	for _, p := range pools {
		target := strconv.Itoa(p.Target)
		if p.Target != p.Configured {
			target += fmt.Sprintf(" (configured %s)", targetText(p.Configured))
		}
		rows = append(rows, []string{
			p.Name, target, strconv.Itoa(p.Ready), strconv.Itoa(p.Dead), strconv.Itoa(p.Stopped),
			strconv.Itoa(p.Generation), dash(strings.Join(p.Listen, " ")),
		})
	}
	return c.table([]string{"POOL", "TARGET", "READY", "DEAD", "STOPPED", "GENERATION", "LISTEN"}, rows, func(row, column int) style {
		switch p := pools[row]; {
		case column == 2 && p.Ready >= p.Target-p.Stopped:
			return good
		case column == 2 || column == 4 && p.Stopped > 0:
			return warning
		case column == 3 && p.Dead > 0:
			return bad
		}
		return normal
	})
}

func targetText(n int) string {
	if n == control.Auto {
		return "auto"
	}
	return strconv.Itoa(n)
}

// readiness is that of all pools of the application.
func readiness(s control.Status) string {
	var sum control.PoolStatus
	for _, p := range s.Pools {
		if !p.BuiltIn {
			sum.Ready, sum.Target, sum.Done = sum.Ready+p.Ready, sum.Target+p.Target, sum.Done+p.Done
			sum.Stopped, sum.Reloading = sum.Stopped+p.Stopped, sum.Reloading+p.Reloading
		}
	}
	return sum.Readiness()
}

type counts struct {
	Current int `json:"current"`
	Target  int `json:"target"`
	Dead    int `json:"dead"`
}

func count(s control.Status) counts {
	var n counts
	for _, p := range s.Pools {
		if p.BuiltIn {
			continue
		}
		n.Current += p.Ready
		n.Target += p.Target
		n.Dead += p.Dead
	}
	return n
}
