package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// MaxSecret is the size in bytes above which [ReadSecret] refuses a file.
const MaxSecret = 1 << 20

// Errors of a file that may not be used as a secret, for errors.Is.
var (
	ErrMode  = errors.New("others may read it")
	ErrOwner = errors.New("wrong owner")
)

// CheckSecret reports why the file at path may not be used as a secret: it
// gives a permission to group or others, its owner is neither this process's
// user nor root, or it is no regular file. Root also accepts the owner of the
// directory, so that its tools work in the directory of another user.
func CheckSecret(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return checkInfo(path, info)
}

// ReadSecret reads the file at path under the rules of [CheckSecret]. It checks
// the opened file, so the file cannot be exchanged in between, and returns the
// information of that file.
func ReadSecret(path string) (data []byte, info fs.FileInfo, err error) {
	return ReadSecretFrom(Disk{}, path)
}

// ReadLargeSecret is [ReadSecret] with another limit than [MaxSecret].
func ReadLargeSecret(path string, limit int64) ([]byte, error) {
	data, _, err := readFrom(Disk{}, path, limit, checkInfo)
	return data, err
}

func checkRegular(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", path)
	}
	return nil
}

func checkInfo(path string, info fs.FileInfo) error {
	if err := checkRegular(path, info); err != nil {
		return err
	}
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &fileError{
			kind: ErrMode,
			text: fmt.Sprintf("%s: mode %04o, must be 0600: chmod 600 %s", path, mode, path),
		}
	}
	return nil
}

// fileError is a text that matches one of the sentinels.
type fileError struct {
	kind error
	text string
}

func (e *fileError) Error() string { return e.text }
func (e *fileError) Unwrap() error { return e.kind }
