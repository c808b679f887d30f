package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/norestart/norestart/internal/dirs"
)

// actAs gives root only the rights of the user that owns the directory of a
// cluster, because that user may turn every name in it into a link. It returns
// the path by which that user reaches the directory, and a function that makes
// this process root's again. The real uid, by which others identify the
// process, stays root's.
func actAs(dir string) (path string, back func() error, err error) {
	uid, gid, err := dirs.Owner(dir)
	if err != nil || os.Geteuid() != 0 || uid == 0 {
		return dir, func() error { return nil }, err
	}
	here, err := os.Open(".")
	if err != nil {
		return "", nil, err
	}
	inside, err := os.Open(dir)
	if err != nil {
		return "", nil, errors.Join(err, here.Close())
	}
	defer inside.Close()
	again, err := become(uid, gid)
	if err == nil {
		if _, err = os.Stat(dir); errors.Is(err, fs.ErrPermission) { // below a directory of root alone
			dir, err = ".", inside.Chdir()
		}
	}
	return dir, func() error { return errors.Join(again(), here.Chdir(), here.Close()) }, err
}

// become changes the effective user of this process.
func become(uid, gid int) (back func() error, err error) {
	groups, err := syscall.Getgroups()
	if err != nil {
		return nil, err
	}
	back = func() error {
		return errors.Join(syscall.Setresuid(-1, 0, -1), syscall.Setresgid(-1, 0, -1), syscall.Setgroups(groups))
	}
	err = syscall.Setgroups(nil)
	if err == nil {
		err = syscall.Setresgid(-1, gid, -1)
	}
	if err == nil {
		err = syscall.Setresuid(-1, uid, -1)
	}
	return back, err
}
