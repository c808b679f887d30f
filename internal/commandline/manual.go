package commandline

import (
	"fmt"
	"strings"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/typeset"
)

// Manual returns the page norestart-commands(7) about the commands in r, in the
// language of man(7).
func Manual(r *Registry, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH NORESTART-COMMANDS 7 \"\" \"norestart %s\"\n", version)
	b.WriteString(".SH NAME\nnorestart\\-commands \\- what an operator types at the admin port\n")
	b.WriteString(".SH DESCRIPTION\nOver ssh, over TLS, in a script, and behind\n.BR norestart\\-ctl (1)\nand\n.BR norestart\\-exec (1):\n" +
		"everywhere the same. Every command takes\n.B \\-\\-json\nand\n.BR \\-\\-help .\nRoles: viewer < operator < admin.\n")
	for _, group := range byGroup(r.Visible(commands.Admin)) {
		fmt.Fprintf(&b, ".SH %s\n", strings.ToUpper(typeset.Roff(group[0].Group)))
		for _, c := range group {
			b.WriteString(manualCommand(c))
		}
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, s := range statuses {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", s.status, typeset.Roff(s.meaning))
	}
	return b.String() + ".SH SEE ALSO\n.BR norestart (1)\n"
}

func manualCommand(c *commands.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".SS %s\n.B %s\n.PP\n%s. Role: %s.\n", typeset.Roff(c.Name), typeset.Roff(usageLine(c)), typeset.Roff(sentence(c.Summary)), c.Role)
	if c.Help != "" {
		fmt.Fprintf(&b, ".PP\n%s\n", typeset.Roff(c.Help))
	}
	for _, row := range flagRows(c) {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", typeset.Roff(strings.TrimSpace(row[0])), typeset.Roff(row[1]))
	}
	return b.String()
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
