package commandline

import (
	"fmt"
	"strings"

	"github.com/norestart/norestart/commands"
)

const markdownIntro = `# Commands

What an operator types at the admin port, over ssh or TLS, in a script, and behind ` + "`norestart ctl`" + `: everywhere the same. This page is made from the same data as ` + "`help`" + `. Not in it are ` + "`exit`, `quit`, `.exit`" + ` (leave), ` + "`clear`" + ` and ` + "`history`" + `: they belong to a session of the admin port.

- A line is one command. Words are quoted as in a POSIX shell: ` + "`'…'`, `\"…\"`, `\\`" + `; from a word-starting ` + "`#`" + ` on it is a comment. There are no variables. Names may be abbreviated at a prompt, as long as one command is meant, and nowhere else. A TIME is a number with a unit, as in ` + "`500ms`, `5s`, `1m30s`, `2h`" + `.
- Roles: ` + "`viewer` < `operator` < `admin`" + `. A command that your role may not run is not in your ` + "`help`" + `.
- ` + "`--json`" + ` works with every command: one object with ` + "`\"version\":1`" + `, times as RFC 3339, durations in seconds, sizes in bytes. A stream (a job that is followed, ` + "`log`, `events`" + `) is an object a line, without ` + "`version`" + `. ` + "`--help`" + ` shows the help of the command instead of running it. Words after ` + "`--`" + ` are neither.
- A failure is told on standard error: ` + "`error: …`" + `, often with a line ` + "`hint: …`" + `; with ` + "`--json`" + ` as ` + "`{\"version\":1,\"error\":{\"code\",\"message\",\"hint\"}}`" + `. A list on standard output is complete or not there.
- Behind a command there may be filters of its standard output, line by line, in order: ` + "`log | match error | tail 5`" + `. A ` + "`'|'`" + ` that is meant as such is quoted. A filter that is none is status 2, and nothing runs.
- ` + "`--watch [TIME]`" + ` shows a state again and again until Ctrl-C, on a terminal in place; ` + "`--for TIME`" + ` ends it by itself, as a program that reads should have it.
- Work that takes long is a job of the primary. The command shows its steps and waits for its end. Ctrl-C cancels the job, which stops after the current worker; a lost connection does not, nor does ` + "`--detach`" + `, which prints the job's id at once (see ` + "`job follow`" + `).

`

// Markdown returns the reference of the commands in r, docs/commands.md.
func Markdown(r *Registry) string {
	var b strings.Builder
	b.WriteString(markdownIntro)
	b.WriteString("## Exit status\n\n| status | meaning |\n|---|---|\n")
	for _, s := range statuses {
		fmt.Fprintf(&b, "| %d | %s |\n", s.status, s.meaning)
	}
	b.WriteString("\n255 is never ours: with it ssh says that the connection failed.\n")
	b.WriteString("\n## Filters\n\n| filter | passes on |\n|---|---|\n")
	for _, f := range filters {
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.TrimSpace(f.name+" "+f.usage), f.summary)
	}
	b.WriteString("\n## " + apartHeading + "\n\n| command | replaces |\n|---|---|\n")
	for _, row := range apart {
		fmt.Fprintf(&b, "| `%s` | %s |\n", row[0], row[1])
	}
	for _, group := range byGroup(r.Visible(commands.Admin)) {
		fmt.Fprintf(&b, "\n## %s\n", group[0].Group)
		for _, c := range group {
			b.WriteString(markdownCommand(c))
		}
	}
	return b.String()
}

func markdownCommand(c *commands.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### %s\n\n    %s\n\n", c.Name, usageLine(c))
	fmt.Fprintf(&b, "%s. Role: %s.\n", sentence(c.Summary), c.Role)
	if c.Help != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.ReplaceAll(c.Help, "\n", " "))
	}
	if rows := flagRows(c); len(rows) > 0 {
		b.WriteString("\n| flag | |\n|---|---|\n")
		for _, row := range rows {
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.TrimSpace(row[0]), row[1])
		}
	}
	return b.String()
}
