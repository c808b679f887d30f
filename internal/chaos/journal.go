package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what is kept for finding the cause.
const (
	keptActions = 20
	keptWrongs  = 10
	keptVictims = 5 * time.Minute // longer than any request waits
)

type journal struct {
	cancel context.CancelFunc // ends the run

	mu       sync.Mutex // a leaf
	actions  []string   // the last ones
	done     map[string]int
	wrongs   []string
	victims  []victim
	stirred  time.Time // when something was last done that may disturb commands
	shows    time.Time // when that shows at the latest
	calm     bool      // the cluster was well after that
	requests map[string]int
	allowed  map[string]int
	facts    []string // for the summary
}

// victim is a worker that was stopped for ever, and the connections that it
// had then, by the clients' addresses.
type victim struct {
	pid   int
	when  time.Time
	conns map[string]bool
}

func newJournal(cancel context.CancelFunc) *journal {
	return &journal{cancel: cancel, done: make(map[string]int), requests: make(map[string]int), allowed: make(map[string]int)}
}

func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// did notes an action; kind counts, if there is one.
func (j *journal) did(kind, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.actions = append(j.actions, stamp(time.Now())+" "+fmt.Sprintf(format, args...))
	j.actions = j.actions[max(0, len(j.actions)-keptActions):]
	if kind != "" {
		j.done[kind]++
	}
}

// wrong notes what must not be, and ends the run.
func (j *journal) wrong(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.wrongs) < keptWrongs {
		j.wrongs = append(j.wrongs, stamp(time.Now())+" "+fmt.Sprintf(format, args...))
	}
	j.cancel()
}

func (j *journal) failed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.wrongs) > 0
}

func (j *journal) fact(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.facts = append(j.facts, fmt.Sprintf(format, args...))
}

// stir says that commands may fail from now on, until the cluster is seen well
// after so long: what was done may not be seen at once.
func (j *journal) stir(d time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stirred, j.calm = time.Now(), false
	if until := j.stirred.Add(d); until.After(j.shows) {
		j.shows = until
	}
}

// settled says that the cluster was well when it was asked at that time.
func (j *journal) settled(asked time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calm = j.calm || asked.After(j.shows)
}

// quiet reports whether the cluster has been well since it was last disturbed.
func (j *journal) quiet() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.calm
}

// undisturbed reports whether nothing was done to it since then.
func (j *journal) undisturbed(since time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stirred.Before(since)
}

// bury notes a worker that may take its connections with it.
func (j *journal) bury(v victim) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.victims = slices.DeleteFunc(j.victims, func(v victim) bool { return time.Since(v.when) > keptVictims })
	j.victims = append(j.victims, v)
}

// doomed reports whether a process was stopped for good.
func (j *journal) doomed(pid int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.victims, func(v victim) bool { return v.pid == pid })
}

func (j *journal) answered(kind string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests[kind]++
}

// excused reports whether a request may have failed: the process that held its
// connection was killed before the failure, and the connection was open when
// the process was stopped.
func (j *journal) excused(l loss) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.victims, func(v victim) bool {
		return v.conns[l.Local] && !v.when.Before(l.Dialed) && !v.when.After(l.Ended)
	})
}

// lose counts a failed request, or notes that it must not have failed.
func (j *journal) lose(l loss) {
	allowed := j.excused(l)
	j.mu.Lock()
	j.requests[l.kind]++
	if allowed {
		j.allowed[l.kind]++
	}
	j.mu.Unlock()
	if !allowed {
		j.wrong("lost request: %v", l)
	}
}

func (j *journal) summary(out io.Writer, seed uint64, leftOut []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var done []string
	for _, kind := range slices.Sorted(maps.Keys(j.done)) {
		done = append(done, fmt.Sprintf("%s %d", kind, j.done[kind]))
	}
	fmt.Fprintln(out, "actions:", strings.Join(done, ", "))
	for _, kind := range slices.Sorted(maps.Keys(j.requests)) {
		fmt.Fprintf(out, "%s: %d requests, %d lost with a worker that was killed\n", kind, j.requests[kind], j.allowed[kind])
	}
	for _, line := range append(slices.Clone(j.facts), leftOut...) {
		fmt.Fprintln(out, line)
	}
	if len(j.wrongs) == 0 {
		fmt.Fprintln(out, "nothing is wrong")
		return
	}
	fmt.Fprintf(out, "\nthe last actions, seed %d:\n  %s\n", seed, strings.Join(j.actions, "\n  "))
	fmt.Fprintf(out, "WRONG:\n  %s\n", strings.Join(j.wrongs, "\n  "))
}
