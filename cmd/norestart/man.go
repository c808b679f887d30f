package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/builtin"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/typeset"
)

func manCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a directory",
		Long: `Write a manual page for each of these commands, and norestart-commands(7) with
what an admin port understands, into DIR/man1 and DIR/man7. They are made from
the same data as --help and help.`,
		Example: "  norestart man /usr/local/share/man",
		Args:    exact("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := writePages(cmd.Root(), args[0])
			if err == nil {
				_, err = fmt.Fprintf(std.out, "%d pages written to %s\n", n, args[0])
			}
			return err
		},
	}
}

// writePages writes the pages of a command and of all its subcommands.
func writePages(root *cobra.Command, dir string) (n int, err error) {
	reg, err := commandline.NewRegistry(builtin.Commands(control.Version))
	if err != nil {
		return 0, err
	}
	pages := map[string]string{"norestart-commands.7": commandline.Manual(reg, control.Version)}
	addPages(pages, root)
	for name, text := range pages {
		section := filepath.Join(dir, "man"+name[len(name)-1:])
		if err := os.MkdirAll(section, 0o755); err != nil {
			return n, err
		}
		if err := durable.WriteFile(filepath.Join(section, name), []byte(text), 0o644); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func addPages(pages map[string]string, cmd *cobra.Command) {
	if !cmd.IsAvailableCommand() && cmd.HasParent() {
		return
	}
	pages[pageName(cmd)+".1"] = page(cmd)
	for _, sub := range cmd.Commands() {
		addPages(pages, sub)
	}
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page is a manual page in the language of man(7).
func page(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"norestart %s\"\n", strings.ToUpper(pageName(cmd)), control.Version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", pageName(cmd), typeset.Roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n%s\n", typeset.Roff(cmd.UseLine()))
	if cmd.Long != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", paragraphs(cmd.Long))
	}
	if cmd.HasAvailableLocalFlags() {
		b.WriteString(".SH OPTIONS\n")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { b.WriteString(option(f)) })
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", typeset.Roff(cmd.Example))
	}
	b.WriteString(".SH SEE ALSO\n" + strings.Join(relatives(cmd), ",\n") + "\n")
	return b.String()
}

func option(f *pflag.Flag) string {
	value, text := pflag.UnquoteUsage(f)
	name := "\\-\\-" + typeset.Roff(f.Name)
	if f.Shorthand != "" {
		name = "\\-" + typeset.Roff(f.Shorthand) + ", " + name
	}
	if value != "" {
		value = " " + typeset.Roff(strings.ToUpper(value))
	}
	return fmt.Sprintf(".TP\n.B %s%s\n%s\n", name, value, typeset.Roff(text))
}

// relatives are the pages that a page refers to: above it, below it, and the
// commands of an admin port.
func relatives(cmd *cobra.Command) (all []string) {
	if cmd.HasParent() {
		all = append(all, ".BR "+pageName(cmd.Parent())+" (1)")
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			all = append(all, ".BR "+pageName(sub)+" (1)")
		}
	}
	return append(all, ".BR norestart-commands (7)")
}

func paragraphs(text string) string {
	return strings.ReplaceAll(typeset.Roff(text), "\n\n", "\n.PP\n")
}
