package adminport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// sharedLock bounds the wait for another process of the admin port.
const sharedLock = 2 * time.Second

// readShared reads a file that processes share. It is empty if there is none or
// it is broken.
func readShared[T any](path string) (map[string]T, error) {
	all := map[string]T{}
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
		return map[string]T{}, fmt.Errorf("%s: broken: %w", path, err)
	}
	if all == nil { // null
		all = map[string]T{}
	}
	return all, nil
}

// editShared replaces the content of a shared file by what change makes of it,
// under its lock, and reports whether it did. A broken file is begun anew, with
// an error.
func editShared[T any](path string, change func(map[string]T) map[string]T) (written bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), sharedLock)
	defer cancel()
	lock, err := durable.Acquire(ctx, path+".lock")
	if err != nil {
		return false, err
	}
	defer lock.Release()
	all, broken := readShared[T](path)
	text, err := json.Marshal(change(all))
	if err == nil {
		err = durable.WriteFile(path, append(text, '\n'), 0o600)
	}
	return err == nil, errors.Join(broken, err)
}
