package client

import "testing"

// What is typed at a prompt is typed again after the connection broke, but no
// part of what was typed while a command ran: it may answer a question.
func TestTypedIsKeptForPromptsOnly(t *testing.T) {
	run, prompt := func(s *Terminal) { s.turn(true) }, func(s *Terminal) { s.turn(false) }
	key := func(keys string) func(*Terminal) { return func(s *Terminal) { s.remember([]byte(keys)) } }
	for _, test := range []struct {
		name  string
		steps []func(*Terminal)
		want  string
	}{
		{"a line in hand", []func(*Terminal){prompt, key("sta"), key("tus")}, "status"},
		{"after Enter", []func(*Terminal){prompt, key("status\rver")}, "ver"},
		{"half an answer", []func(*Terminal){prompt, key("baz\r"), run, key("hunt")}, ""},
		{"typed before the question", []func(*Terminal){prompt, key("baz\rhunt"), run, key("er")}, ""},
		{"the rest of what was typed ahead", []func(*Terminal){prompt, key("baz\r"), run, key("sca"), prompt, key("le web 1")}, ""},
		{"the rest of an answer that came too late", []func(*Terminal){prompt, key("baz\rhunt"), run, prompt, key("er2")}, ""},
		{"the line after an answer", []func(*Terminal){prompt, key("baz\r"), run, key("hunter2\r"), prompt, key("sta")}, "sta"},
		{"the line after what was typed ahead", []func(*Terminal){prompt, key("baz\r"), run, key("sca"), prompt, key("le\rsta")}, "sta"},
	} {
		var s Terminal
		for _, step := range test.steps {
			step(&s)
		}
		if got := string(s.typed); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestCommandsThatTakeTheTerminal(t *testing.T) {
	for line, want := range map[string]bool{
		"worker attach web/0":                    true,
		" worker  attach --read-only 'web/0' #x": true,
		"worker attach --json web/0":             false,
		"worker attach 'web/0":                   false,
		"worker info":                            false,
		"worker":                                 false,
		"":                                       false,
	} {
		if got := TakesTerminal(line); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}
