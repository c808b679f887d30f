package client

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResume(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		was        progress
	}{
		{"nothing ran", "", progress{}},
		{"a change is not repeated", "", progress{line: "scale web 8"}},
		{"nor is one with the flag", "", progress{line: "flush --follow", place: "1.2"}},
		{"nor what cannot be read", "", progress{line: "log --follow '", place: "1.2"}},
		{"a log that was over", "", progress{line: "log --lines 5", place: "1.2"}},
		{"a time that runs out", "", progress{line: "log --for 5s", place: "1.2"}},
		{"a log", "log --follow --worker 'web/0 x' --lines=10000 --after=7.41", progress{line: "log --follow --worker 'web/0 x'", place: "7.41"}},
		{"taken up before", "events --follow --json --lines=10000 --after=7.41", progress{line: "events --follow --json --lines=10000 --after=7.1", place: "7.41"}},
		{"flags with values apart", "log --follow --lines=10000 --after=7.41", progress{line: "log --lines 5 --follow --after 7.1", place: "7.41"}},
		{"nothing came yet", "log --follow --lines 5", progress{line: "log --follow --lines 5"}},
		{"a job", "job follow 12 --after=3", progress{line: "reload web", job: "12", place: "3"}},
		{"a job without a step", "job follow 12", progress{line: "reload web", job: "12"}},
	} {
		if diff := cmp.Diff(tt.want, tt.was.resume()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestProgress(t *testing.T) {
	var p progress
	for _, w := range []word{
		{kind: markRun, value: "reload"},
		{kind: markJob, value: "3"},
		{kind: markPlace, value: "1"},
		{kind: "of a later version", value: "x"},
		{kind: markPlace, value: "2"},
	} {
		p.take(w)
	}
	if diff := cmp.Diff([]string{"reload", "3", "2"}, []string{p.line, p.job, p.place}); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if p.take(word{kind: markPrompt}); p.line != "" {
		t.Errorf("%q runs at the prompt", p.line)
	}
}
