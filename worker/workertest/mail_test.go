package workertest_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/worker"
	"github.com/norestart/norestart/worker/workertest"
)

// letters is a worker whose module keeps the messages that it has handled.
func letters(had *[]string) worker.Run {
	return func(ctx context.Context, w *worker.Worker) error {
		var all []string
		box := w.Mailbox()
		begin := func(s *worker.Scope) error {
			s.HandleMessages(box, func(ctx context.Context, m *worker.Message) error {
				switch string(m.Data) {
				case "refuse":
					return errors.New("no room")
				case "panic":
					panic("no ink")
				case "again":
					if all = append(all, "again"); len(all) == 1 {
						m.Retry(0)
					}
					return nil // which says nothing of a message that was put back
				}
				all = append(all, string(m.Data))
				return nil
			})
			return nil
		}
		err := w.Register("letters", worker.Module{
			Version: "v1.0.0",
			Init:    func(_ context.Context, s *worker.Scope) error { return begin(s) },
			BeforeReload: func(context.Context) (worker.State, error) {
				*had = all
				return worker.JSON(all)
			},
			AfterReload: func(_ context.Context, s *worker.Scope, from worker.State) error {
				return errors.Join(from.JSON(&all), begin(s))
			},
		})
		if err != nil {
			return err
		}
		w.Ready()
		<-ctx.Done()
		return nil
	}
}

// TestSend: messages are handled by the module of the process that is in the slot.
func TestSend(t *testing.T) {
	t.Parallel()
	var had []string
	slot := workertest.Start(t, norestart.Pool{Name: "jobs", Run: letters(&had)})
	for _, text := range []string{"again", "first"} {
		must(t, slot.Send(t.Context(), []byte(text)))
	}
	must(t, slot.ReloadModules(t.Context()))
	must(t, slot.Send(t.Context(), []byte("second")))
	must(t, slot.Reload(letters(&had)))
	must(t, slot.Send(t.Context(), []byte("third")))
	for text, want := range map[string]string{
		"refuse": "message to jobs/0: refused: no room",
		"panic":  "message to jobs/0: refused: the handler panicked: no ink",
	} {
		if err := slot.Send(t.Context(), []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	must(t, slot.Reload(letters(&had)))
	if want := []string{"again", "again", "first", "second", "third"}; !slices.Equal(had, want) {
		t.Errorf("handled: %q, want %q", had, want)
	}
}

// TestSendWithoutMailbox is told.
func TestSendWithoutMailbox(t *testing.T) {
	t.Parallel()
	slot := workertest.Start(t, norestart.Pool{Run: (&tally{version: "v1.0.0"}).run})
	if err := slot.Send(t.Context(), nil); !errors.Is(err, control.ErrNoHandler) {
		t.Error(err)
	}
}
