package config

import (
	_ "embed"
	"strings"
	text "text/template"
)

//go:embed unit.service
var unitText string

// Unit is what a unit of systemd runs a cluster with (systemd.service(5)).
type Unit struct {
	Name    string // of the cluster
	User    string // empty: root
	Dir     string // of norestart.toml
	Program string // the path of norestart
}

// Text is the unit.
func (u Unit) Text() (string, error) {
	t, err := text.New("unit").Parse(unitText)
	if err != nil {
		return "", err
	}
	literal := strings.NewReplacer("%", "%%") // else specifiers (systemd.unit(5))
	u.Dir = literal.Replace(u.Dir)
	u.Program = `"` + strings.NewReplacer("%", "%%", "$", "$$", `\`, `\\`, `"`, `\"`).Replace(u.Program) + `"`
	if !strings.ContainsAny(u.Program, " $%\\'") {
		u.Program = strings.Trim(u.Program, `"`)
	}
	var b strings.Builder
	err = t.Execute(&b, u)
	return b.String(), err
}
