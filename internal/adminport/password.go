package adminport

import (
	"context"
	"fmt"
	"slices"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

// checkPassword returns the user's hash if password matches it, else nothing. Its
// time does not depend on the user: for each name it computes one hash of each
// kind and cost in use. Each takes 19 MiB, so there is one at a time for each
// source, and few in all.
func (g *gate) checkPassword(ctx context.Context, a *admission, name string, password []byte) (string, error) {
	user, _ := g.lookup(name)
	hash, fits := user.Password, len(password) <= maxPassword
	password = password[:min(len(password), maxPassword)]
	free, err := g.hashTurn(ctx, a)
	if err != nil {
		return "", fmt.Errorf("wait to check a password: %w", err)
	}
	defer free()
	right := false
	for _, one := range g.hashesFor(hash) {
		ok, err := users.Verify(one, string(password))
		if err != nil && one == hash {
			g.logf("password of %s: %v", audit.Quote(name), err)
		}
		right = right || ok && one == hash
	}
	if !right || !fits {
		return "", nil
	}
	return hash, nil
}

// hashesFor is what a password is checked against: hash, if there is one, and for
// each other kind and cost in use a hash that no password matches.
func (g *gate) hashesFor(hash string) []string {
	var list []string
	if store, ok := g.users.(interface{ Dummies() []string }); ok {
		list = slices.Clone(store.Dummies())
	}
	if admin, _ := g.lookup(adminUser); admin.Password != "" {
		list = append(list, users.Dummy(admin.Password))
	}
	if len(list) == 0 {
		list = append(list, users.DummyHash())
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if hash == "" {
		return list
	}
	own := users.Dummy(hash)
	return append(slices.DeleteFunc(list, func(dummy string) bool { return dummy == own }), hash)
}

// hashTurn waits until this source and this process may compute a hash.
func (g *gate) hashTurn(ctx context.Context, a *admission) (free func(), err error) {
	mine, all := a.src.hash, g.hashing
	if err := takeToken(ctx, mine); err != nil {
		return nil, err
	}
	if err := takeToken(ctx, all); err != nil {
		<-mine
		return nil, err
	}
	return func() { <-all; <-mine }, nil
}

func takeToken(ctx context.Context, from chan<- struct{}) error {
	select {
	case from <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
