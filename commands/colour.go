package commands

import "github.com/norestart/norestart/control"

// style is a colour by what it means (ECMA-48 §8.3.117, SGR).
type style string

const (
	normal    style = ""
	good      style = "\x1b[32m" // green
	warning   style = "\x1b[33m" // yellow
	bad       style = "\x1b[31m" // red
	plainText       = "\x1b[0m"
)

// paint colours text for a person whose terminal shows colours.
func (c *Call) paint(s style, text string) string {
	if !c.screen.Colour || s == normal {
		return text
	}
	return string(s) + text + plainText
}

// stateStyle is the colour of a slot's state.
func stateStyle(state control.State, silent bool) style {
	switch {
	case silent:
		return bad
	case state == control.Ready || state == control.Done:
		return good
	case state == control.Dead:
		return bad
	case state == control.Starting || state == control.Draining || state == control.Backoff || state == control.Stopped:
		return warning
	}
	return normal
}

func jobStyle(state control.JobState) style {
	switch state {
	case control.JobOK:
		return good
	case control.JobFailed:
		return bad
	}
	return warning
}
