package builtin

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// stamp is the form of a time in text, in the server's zone.
const stamp = "2006-01-02 15:04:05"

// age is a duration in its two largest units.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd %dh", d/day, d%day/time.Hour)
	}
}

// took is a duration of something that has ended; short ones with their fraction.
func took(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	}
	return age(d)
}

// size is a number of bytes in three or four digits, as in 84M.
func size(bytes int64) string {
	for _, unit := range []string{"", "K", "M", "G"} {
		if bytes < 10000 || unit == "G" {
			return strconv.FormatInt(bytes, 10) + unit
		}
		bytes = (bytes + 512) / 1024
	}
	return ""
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// number shows 0 as nothing.
func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func describeExit(e control.Exit) string {
	how := fmt.Sprintf("exit status %d", e.Code)
	switch {
	case e.Unknown:
		how = "exit status unknown: started by an earlier primary"
	case e.Signal != "":
		how = e.Signal
	}
	if e.OOM {
		how += " (out of memory)"
	}
	if e.Reason != "" {
		how += ": " + e.Reason
	}
	return how
}

// describeJob is a job in one line, safe for a terminal.
func describeJob(j control.Job, now time.Time) string {
	what := strings.TrimSpace(j.Kind + " " + j.What)
	line := fmt.Sprintf("%s: %s by %s, %s", j.ID, what, dash(j.Owner), j.State)
	if j.Total > 0 {
		line += fmt.Sprintf(", %d of %d", j.Done, j.Total)
	}
	return commands.Safe(fmt.Sprintf("%s, %s ago", line, age(now.Sub(j.Since))))
}
