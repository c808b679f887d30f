package adminport

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	// keepAttempts is how often changed counts are written.
	keepAttempts = time.Second
	// maxAttempts bounds the users that are counted.
	maxAttempts = 1024
)

// failedLogin counts the failed logins of one user since the user was last told.
type failedLogin struct {
	Failed int       `json:"failed"`
	Last   time.Time `json:"last"`
	From   string    `json:"from"` // the last one's address
}

func (a failedLogin) add(b failedLogin) failedLogin {
	if b.Last.After(a.Last) {
		a.Last, a.From = b.Last, b.From
	}
	a.Failed += b.Failed
	return a
}

// failedLogins counts failed logins by user name, in a file that all processes of
// the admin port share. Logins never wait for the disk: news are written a second
// later.
type failedLogins struct {
	path string // empty: it does not outlive the process
	logf func(format string, args ...any)

	mu   sync.Mutex // protects what follows; a leaf
	disk map[string]failedLogin
	news map[string]failedLogin
	seen map[string]bool // shown to their user: the file is out of date
}

func newFailedLogins(path string, logf func(string, ...any)) *failedLogins {
	return &failedLogins{path: path, logf: logf, disk: map[string]failedLogin{}, news: map[string]failedLogin{}, seen: map[string]bool{}}
}

func (a *failedLogins) count(user, from string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.news[user]; !known && len(a.news) >= maxAttempts {
		return
	}
	a.news[user] = a.news[user].add(failedLogin{Failed: 1, Last: time.Now(), From: from})
}

// show returns the failed logins, once. It reads the file, because another
// process may have seen them fail.
func (a *failedLogins) show(user string) (failedLogin, bool) {
	disk, err := readShared[failedLogin](a.path)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.disk = disk
	}
	all := a.news[user]
	if !a.seen[user] {
		all = all.add(a.disk[user])
	}
	if all.Failed == 0 {
		return all, false
	}
	delete(a.news, user)
	a.seen[user] = true
	return all, true
}

// keep reads the file and writes what is new until ctx ends.
func (a *failedLogins) keep(ctx context.Context) {
	if a.path == "" {
		return
	}
	tick := time.NewTicker(keepAttempts)
	defer tick.Stop()
	told := ""
	for last := false; ; {
		err := a.sync()
		if err != nil && err.Error() != told {
			a.logf("failed logins: %v", err)
			told = err.Error()
		}
		if last {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			last = true
		}
	}
}

// sync merges this process's news into the file, and adopts its other content.
func (a *failedLogins) sync() error {
	a.mu.Lock()
	changed := len(a.news)+len(a.seen) > 0
	a.mu.Unlock()
	if changed {
		return a.write()
	}
	disk, err := readShared[failedLogin](a.path)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.disk = disk
	return err
}

func (a *failedLogins) write() error {
	var merged, news map[string]failedLogin
	var seen map[string]bool
	written, err := editShared(a.path, func(disk map[string]failedLogin) map[string]failedLogin {
		news, seen = a.take()
		merged = merge(disk, news, seen)
		return merged
	})
	if merged != nil {
		a.put(merged, news, seen, !written)
	}
	return err
}

func (a *failedLogins) take() (news map[string]failedLogin, seen map[string]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	news, seen = a.news, a.seen
	a.news, a.seen = map[string]failedLogin{}, map[string]bool{}
	return news, seen
}

// put adopts what has been written, or takes back what could not be.
func (a *failedLogins) put(merged, news map[string]failedLogin, seen map[string]bool, failed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !failed {
		a.disk = merged
		return
	}
	for user := range seen {
		a.seen[user] = true
	}
	for user, one := range news {
		if !a.seen[user] || seen[user] { // else it was shown meanwhile
			a.news[user] = one.add(a.news[user])
		}
	}
}

func merge(disk, news map[string]failedLogin, seen map[string]bool) map[string]failedLogin {
	merged := maps.Clone(disk)
	maps.DeleteFunc(merged, func(user string, _ failedLogin) bool { return seen[user] })
	for user, one := range news {
		if _, known := merged[user]; known || len(merged) < maxAttempts {
			merged[user] = merged[user].add(one)
		}
	}
	return merged
}
