package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/norestart/norestart/worker"
)

// receive handles messages until the worker drains.
func receive(ctx context.Context, w *worker.Worker) {
	box := w.Mailbox()
	go func() { // ends with the worker
		for {
			m, err := box.Receive(ctx)
			if err != nil {
				return
			}
			if err := handleMessage(w, m); err != nil {
				m.Fail(err)
			} else {
				m.Done()
			}
		}
	}()
}

func handleMessage(w *worker.Worker, m *worker.Message) error {
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
	fmt.Printf("faulty: got %q from %s\n", text, m.From)
	return nil
}
