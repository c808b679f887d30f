package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

func status(ctx context.Context, call *Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	s, err := call.status(ctx)
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(viewStatus(s))
	}
	f, err := call.look(ctx, s, time.Now())
	if err != nil {
		return err
	}
	_, err = call.Out.Write([]byte(call.statusPage(s, f, time.Now())))
	return err
}

// statusPage is the whole answer; the first line is all that one needs to know
// on a good day.
func (c *Call) statusPage(s control.Status, f findings, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", Safe(s.Name), c.wellness(s, f.trouble))
	if s.Primary != nil {
		fmt.Fprintf(&b, "primary %d, up %s\n", s.Primary.PID, age(now.Sub(s.Primary.Since)))
	}
	fmt.Fprintf(&b, "admin port %s\n", Safe(dash(s.Admin)))
	b.WriteString(c.poolTable(s.Pools))
	for _, j := range s.Jobs {
		fmt.Fprintf(&b, "job %s\n", describeJob(j, now))
	}
	for _, p := range s.Pools {
		if p.LastFailure != "" && !f.tells(p.LastFailure) {
			fmt.Fprintf(&b, "%s: %s\n", Safe(p.Name), Safe(p.LastFailure))
		}
		if len(p.Differs) > 0 {
			fmt.Fprintf(&b, "%s: configuration differs, %s: %s\n", Safe(p.Name), Safe(strings.Join(p.Differs, ", ")), reloads(p))
		}
	}
	for _, note := range f.notes {
		fmt.Fprintf(&b, "%s\n", Safe(note.text))
		if note.quote != "" {
			fmt.Fprintf(&b, "  %s\n", Safe(note.quote))
		}
	}
	return b.String()
}

// reloads is the command that brings a pool up to date: "reload" alone leaves the
// built-in ones as they are.
func reloads(p control.PoolStatus) string {
	if p.BuiltIn {
		return "reload " + p.Name
	}
	return "reload"
}

func (c *Call) wellness(s control.Status, trouble []string) string {
	if len(trouble) > 0 {
		return c.paint(bad, "NOT WELL") + ": " + strings.Join(trouble, "; ")
	}
	n := count(s)
	line := fmt.Sprintf("%s, %d of %d workers ready", c.paint(good, "well"), n.Current, n.Target)
	if n.stopped > 0 {
		line += fmt.Sprintf(", %d stopped", n.stopped)
	}
	return line
}

// Summary tells in half a line how a cluster is, and what runs there.
func Summary(s control.Status, now time.Time) string {
	if s.Primary == nil {
		return "no primary"
	}
	n, silent := count(s), 0
	for _, p := range s.Pools {
		if !p.BuiltIn {
			silent += p.Silent
		}
	}
	health := "well"
	if n.Current+n.stopped < n.Target || n.Dead > 0 || silent > 0 {
		health = "NOT WELL"
	}
	text := fmt.Sprintf("%s, %d of %d workers ready", health, n.Current, n.Target)
	for _, more := range []struct {
		n    int
		what string
	}{{n.Dead, "dead"}, {n.stopped, "stopped"}, {silent, "silent"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	if !s.Primary.Since.IsZero() {
		text += fmt.Sprintf(", primary %d up %s", s.Primary.PID, age(now.Sub(s.Primary.Since)))
	}
	for _, j := range s.Jobs {
		text += "; job " + describeJob(j, now)
	}
	return Safe(text)
}

// trouble names what is not as it should be, built-in pools included.
func trouble(s control.Status, done map[string]int) []string {
	var list []string
	if s.Primary == nil {
		list = append(list, "no primary")
	}
	for _, p := range s.Pools {
		short := missing(p) - done[p.Name]
		if p.Dead > 0 {
			list = append(list, fmt.Sprintf("%s has %d dead worker%s (worker revive)", Safe(p.Name), p.Dead, plural(p.Dead)))
		} else if short > 0 || p.LastFailure != "" {
			list = append(list, fmt.Sprintf("%s has %d of %d workers ready", Safe(p.Name), p.Ready, p.Target))
		}
		if p.Silent > 0 {
			list = append(list, fmt.Sprintf("%s has %d silent worker%s (worker list)", Safe(p.Name), p.Silent, plural(p.Silent)))
		}
	}
	return list
}

// missing is how many workers of p should be ready and are not; dead ones and
// those stopped by wish do not count.
func missing(p control.PoolStatus) int { return p.Target - p.Ready - p.Dead - p.Stopped }

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

// counts are what "worker info" shows, of the application's pools.
type counts struct {
	Current int `json:"current"`
	Target  int `json:"target"`
	Dead    int `json:"dead"`
	stopped int
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
		n.stopped += p.Stopped
	}
	return n
}
