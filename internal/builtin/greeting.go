package builtin

import (
	"fmt"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// Greeting tells in half a line how a cluster is, and what runs there, as it is
// shown after a login.
func Greeting(s control.Status, now time.Time) string {
	if s.Primary == nil {
		return "no primary"
	}
	n, silent, unhealthy := count(s), 0, 0
	for _, p := range s.Pools {
		silent, unhealthy = silent+p.Silent, unhealthy+p.Unhealthy
	}
	health := "well"
	if !s.Well() {
		health = "NOT WELL"
	}
	text := health + ", " + readiness(s)
	for _, more := range []struct {
		n    int
		what string
	}{{n.Dead, "dead"}, {silent, "silent"}, {unhealthy, "unhealthy"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	for _, p := range s.Pools {
		if p.CrashesAgain() {
			text += ", " + crashText(p, now)
		}
		if p.Off() {
			text += ", " + offText(p)
		}
	}
	if !s.Primary.Since.IsZero() {
		text += fmt.Sprintf(", primary %d up %s", s.Primary.PID, age(now.Sub(s.Primary.Since)))
	}
	for _, j := range s.Jobs {
		text += "; job " + describeJob(j, now)
	}
	return commands.Safe(text)
}
