package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/norestart/norestart/worker"
)

// registerMail registers the module that handles messages, in a worker that is asked
// for it. It tells how many times it has been loaded.
func registerMail(w *worker.Worker) error {
	if _, ok := asked("mail", w.Slot()); !ok {
		return nil
	}
	box, loads := w.Mailbox(), 0
	return w.Register("mail", worker.Module{Version: "v1.0.0", Init: func(_ context.Context, s *worker.Scope) error {
		loads++
		load := loads
		s.HandleMessages(box, func(_ context.Context, m *worker.Message) error { return handleMessage(w, m, load) })
		return nil
	}})
}

func handleMessage(w *worker.Worker, m *worker.Message, load int) error {
	text := string(m.Data)
	if text == "refuse" {
		return errors.New("the ledger is locked")
	}
	for text == "wait" { // until the file has gone
		if _, ok := asked("wait", w.Slot()); !ok {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("faulty: got %q from %s, load %d\n", text, m.From, load)
	return nil
}
