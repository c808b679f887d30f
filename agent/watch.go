package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/norestart/norestart/control"
)

// Watch reloads pools when files change.
type Watch struct {
	Paths   []string // files, and directories with all that is in them, absolute
	Exclude []string // patterns as in gitignore(5), beside those that are always left out, from each path
	Pools   []string // empty: all of the application
}

const (
	// quiet is how long nothing may have changed before a reload: editors, compilers
	// and version control change many files at a time.
	quiet = 300 * time.Millisecond
	// impatient is how long changes may go on.
	impatient = 10 * time.Second
)

// watcher follows one [Watch].
type watcher struct {
	Watch
	control control.Control
	tree    *tree

	first string    // that has changed since the last reload; empty: nothing
	more  int       // others
	since time.Time // when first did
}

// keepWatching reloads after changes, until ctx ends. apart are paths of the cluster
// itself.
func keepWatching(ctx context.Context, c control.Control, what Watch, apart []string) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		warn("watch: %v", limit(err))
		return
	}
	defer notify.Close()
	w := &watcher{Watch: what, control: c, tree: newTree(notify, what, apart)}
	w.tree.scan()
	w.run(ctx, notify)
}

func (w *watcher) run(ctx context.Context, notify *fsnotify.Watcher) {
	calm := time.NewTimer(time.Hour)
	calm.Stop()
	defer calm.Stop()
	var reloading chan struct{} // nil: none is
	for {
		select {
		case <-ctx.Done():
			if reloading != nil {
				<-reloading
			}
			return
		case e := <-notify.Events:
			if name := w.tree.changed(e); name != "" {
				w.note(name)
				calm.Reset(w.wait())
			}
		case err := <-notify.Errors:
			w.failed(err)
			calm.Reset(w.wait())
		case <-reloading:
			if reloading = nil; w.first != "" {
				calm.Reset(w.wait())
			}
		case <-calm.C:
			if reloading == nil && w.first != "" {
				reloading = make(chan struct{})
				go func(done chan struct{}, why string) {
					defer close(done)
					w.reload(ctx, why)
				}(reloading, w.why())
				w.first, w.more = "", 0
			}
		}
	}
}

func (w *watcher) note(name string) {
	switch w.first {
	case "":
		w.first, w.since = name, time.Now()
	case name:
	default:
		w.more++
	}
}

func (w *watcher) wait() time.Duration { return max(0, min(quiet, impatient-time.Since(w.since))) }

func (w *watcher) why() string {
	if w.more > 0 {
		return fmt.Sprintf("%s and more have changed", w.first)
	}
	return w.first + " has changed"
}

// failed looks at everything again: the kernel could not keep all events.
func (w *watcher) failed(err error) {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		w.tree.scan()
		w.note("much")
		return
	}
	warn("watch: %v", err)
}

// reload reloads the pools, once the job that has them has ended, under whichever
// primary there is. A failure is told, and the next change tries again.
func (w *watcher) reload(ctx context.Context, why string) {
	pools := strings.Join(w.Pools, ", ")
	if pools == "" {
		pools = "all pools"
	}
	warn("watch: %s: reload of %s", why, pools)
	pause := firstPause
	for ctx.Err() == nil {
		job, err := w.control.Do(ctx, control.ReloadRequest{Pools: w.Pools}, func(control.JobEvent) error { return nil })
		busy, known := errors.AsType[*control.Error](err)
		switch {
		case known && busy.Code == control.ErrBusy.Code:
			_, _ = w.control.Do(ctx, control.FollowRequest{ID: busy.Job}, func(control.JobEvent) error { return nil }) // its end, or that of the primary
		case errors.Is(err, control.ErrUnavailable) && job.ID == "":
		case err != nil:
			warn("watch: reload of %s: %v", pools, err)
			return
		case job.State != control.JobOK:
			warn("watch: reload of %s: %s; the next change tries again", pools, job.Error)
			return
		default:
			warn("watch: %s reloaded", pools)
			return
		}
		sleep(ctx, pause/2+rand.N(pause))
		pause = min(2*pause, lastPause)
	}
}
