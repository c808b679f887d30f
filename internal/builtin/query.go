package builtin

import (
	"context"
	"time"

	"github.com/norestart/norestart/control"
)

// answerWithin bounds the wait for an answer that the primary has at hand.
const answerWithin = 10 * time.Second

func get[A any](ctx context.Context, primary control.Control, q control.Query[A]) (A, error) {
	return answer(ctx, func(ctx context.Context) (A, error) { return control.Get(ctx, primary, q) })
}

func answer[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return ask(ctx)
}

func (c *Call) status(ctx context.Context) (control.Status, error) {
	return get(ctx, c.Primary, control.StatusQuery{})
}
