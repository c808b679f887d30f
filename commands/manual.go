package commands

import (
	"fmt"
	"strings"
	"unicode"
)

// Manual returns the page norestart-commands(7) about the commands in r, in the
// language of man(7).
func Manual(r *Registry, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH NORESTART-COMMANDS 7 \"\" \"norestart %s\"\n", version)
	b.WriteString(".SH NAME\nnorestart\\-commands \\- what an operator types at the admin port\n")
	b.WriteString(".SH DESCRIPTION\nOver ssh, over TLS, in a script, and behind\n.BR norestart\\-ctl (1)\nand\n.BR norestart\\-exec (1):\n" +
		"everywhere the same. Every command takes\n.B \\-\\-json\nand\n.BR \\-\\-help .\nRoles: viewer < operator < admin.\n")
	for _, group := range byGroup(r.Visible(Admin)) {
		fmt.Fprintf(&b, ".SH %s\n", strings.ToUpper(Roff(group[0].Group)))
		for _, c := range group {
			b.WriteString(manualCommand(c))
		}
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, s := range statuses {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", s.status, Roff(s.meaning))
	}
	return b.String() + ".SH SEE ALSO\n.BR norestart (1)\n"
}

func manualCommand(c *Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".SS %s\n.B %s\n.PP\n%s. Role: %s.\n", Roff(c.Name), Roff(usageLine(c)), Roff(sentence(c.Summary)), c.Role)
	if c.Help != "" {
		fmt.Fprintf(&b, ".PP\n%s\n", Roff(c.Help))
	}
	for _, row := range flagRows(c) {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", Roff(strings.TrimSpace(row[0])), Roff(row[1]))
	}
	return b.String()
}

// ascii gives each character beyond ASCII by its number (groff_char(7)).
func ascii(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r <= unicode.MaxASCII {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, `\[u%04X]`, r)
	}
	return b.String()
}

// Roff writes text for a page of man(7), such that troff takes nothing in it for a request.
func Roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
	lines := strings.Split(ascii(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
