package config

import (
	_ "embed"
	"strings"
)

//go:embed template.toml
var template string

// Template is a commented configuration for a cluster of that name. Without a
// command it has one to be changed.
func Template(name string, command []string) string {
	text := strings.Replace(template, "NAME", name, 1)
	if len(command) > 0 {
		text = strings.Replace(text, `["./app"]`, literal(command), 1)
	}
	return text
}

// NameOf makes a name of a pool or cluster of any text.
func NameOf(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	s = strings.TrimLeft(s, "0123456789_-")
	s = strings.TrimRight(s[:min(len(s), 32)], "-")
	if s == "" {
		return "app"
	}
	return s
}
