package shell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

const (
	// keepAttempts is how often counts that changed are written down.
	keepAttempts = time.Second
	// attemptsLock is how long another process may hold their file.
	attemptsLock = 2 * time.Second
	// maxAttempts bounds the users that are counted.
	maxAttempts = 1024
)

// attempt is what failed in the name of one user since that was last shown.
type attempt struct {
	Failed int       `json:"failed"`
	Last   time.Time `json:"last"`
	From   string    `json:"from"` // the last one's address
}

func (a attempt) add(b attempt) attempt {
	if b.Last.After(a.Last) {
		a.Last, a.From = b.Last, b.From
	}
	a.Failed += b.Failed
	return a
}

// attempts counts failed logins by the user that they were for, in a file that
// all processes of the admin port share. Logins never wait for the disk: what
// is new is written down a second later.
type attempts struct {
	path string // empty: it does not outlive the process
	logf func(format string, args ...any)

	mu   sync.Mutex // protects what follows; a leaf
	disk map[string]attempt
	news map[string]attempt
	seen map[string]bool // shown to their user, so that what the file says is over
}

func newAttempts(path string, logf func(string, ...any)) *attempts {
	return &attempts{path: path, logf: logf, disk: map[string]attempt{}, news: map[string]attempt{}, seen: map[string]bool{}}
}

// failed counts one.
func (a *attempts) failed(user, from string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.news[user]; !known && len(a.news) >= maxAttempts {
		return
	}
	a.news[user] = a.news[user].add(attempt{Failed: 1, Last: time.Now(), From: from})
}

// show returns what failed, once. It looks at the file, which is small: another
// process may have seen the login fail.
func (a *attempts) show(user string) (attempt, bool) {
	disk, err := readAttempts(a.path)
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
func (a *attempts) keep(ctx context.Context) {
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

// sync merges this process's news into the file, and takes over what is there.
func (a *attempts) sync() error {
	a.mu.Lock()
	changed := len(a.news)+len(a.seen) > 0
	a.mu.Unlock()
	if changed {
		return a.write()
	}
	disk, err := readAttempts(a.path)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.disk = disk
	return err
}

// write holds the lock of the file from reading it to its replacement.
func (a *attempts) write() error {
	ctx, cancel := context.WithTimeout(context.Background(), attemptsLock)
	defer cancel()
	lock, err := durable.Acquire(ctx, a.path+".lock")
	if err != nil {
		return err
	}
	defer lock.Release()
	disk, broken := readAttempts(a.path) // a broken one is begun anew
	news, seen := a.take()
	merged := merge(disk, news, seen)
	text, err := json.Marshal(merged)
	if err == nil {
		err = durable.WriteFile(a.path, append(text, '\n'), 0o600)
	}
	a.put(merged, news, seen, err != nil)
	return errors.Join(broken, err)
}

func (a *attempts) take() (news map[string]attempt, seen map[string]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	news, seen = a.news, a.seen
	a.news, a.seen = map[string]attempt{}, map[string]bool{}
	return news, seen
}

// put takes over what has been written, or takes back what could not be.
func (a *attempts) put(merged, news map[string]attempt, seen map[string]bool, failed bool) {
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

func merge(disk, news map[string]attempt, seen map[string]bool) map[string]attempt {
	merged := maps.Clone(disk)
	maps.DeleteFunc(merged, func(user string, _ attempt) bool { return seen[user] })
	for user, one := range news {
		if _, known := merged[user]; known || len(merged) < maxAttempts {
			merged[user] = merged[user].add(one)
		}
	}
	return merged
}

func readAttempts(path string) (map[string]attempt, error) {
	all := map[string]attempt{}
	if path == "" {
		return all, nil
	}
	text, _, err := durable.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return map[string]attempt{}, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}
