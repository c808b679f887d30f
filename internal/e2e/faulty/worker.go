package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/norestart/norestart/worker"
)

// serve is a worker: it looks what it shall do wrong, and then serves.
func serve(ctx context.Context, w *worker.Worker) error {
	if err := lives(w); err != nil {
		return err
	}
	if text, ok := asked("exit", w.Slot()); ok {
		fmt.Fprintf(os.Stderr, "faulty: %s has no licence\n", w.ID())
		status, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		os.Exit(status)
	}
	if text, ok := asked("panic", w.Slot()); ok {
		panic(text)
	}
	if _, ok := asked("alone", w.Slot()); ok {
		if err := alone(w.Slot()); err != nil {
			return err
		}
	}
	if _, ok := asked("child", w.Slot()); ok {
		if err := child(); err != nil {
			return err
		}
	}
	if script, ok := asked("daemon", w.Slot()); ok {
		c := exec.Command("/bin/sh", "-c", script)
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := c.Start(); err != nil {
			return err
		}
		go c.Wait() // ends with the worker at the latest
	}
	if _, ok := asked("unready", w.Slot()); ok {
		fmt.Println("faulty: waits for a database")
		<-ctx.Done()
		return nil
	}
	if os.Getenv("FAULTY_BAD") != "" {
		go late(w.Slot())
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	handle(w, end)
	if err := errors.Join(register(w), registerMail(w)); err != nil {
		return err
	}
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	greeting := fmt.Sprintf("hello from %s pid=%d generation=%d\n", w.ID(), os.Getpid(), w.Generation())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, greeting) })
	mux.Handle("GET /count", w.Router())
	mux.Handle("GET /greeting", w.Router())
	err = w.ServeHTTP(ctx, &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, ln)
	if _, ok := asked("deaf", w.Slot()); ok {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM) // into the void
		select {}
	}
	return err
}

// lives notes that this process has been started, and as what.
func lives(w *worker.Worker) error {
	f, err := os.OpenFile("lives", os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d %d\n", w.ID(), w.Generation(), w.Incarnation())
	return errors.Join(err, f.Close())
}

func handle(w *worker.Worker, end func()) {
	w.Handle("end", func(_ context.Context, ids []string) ([]byte, error) {
		if len(ids) == 1 && ids[0] == w.ID() {
			end()
		}
		return []byte("heard"), nil
	})
	w.Handle("crash", func(_ context.Context, ids []string) ([]byte, error) {
		if len(ids) == 1 && ids[0] == w.ID() {
			fmt.Println("faulty: crashes as asked")
			os.Exit(9)
		}
		return []byte("not me"), nil
	})
	w.Handle("panic", func(_ context.Context, words []string) ([]byte, error) {
		if len(words) == 2 && (words[0] == w.ID() || words[0] == "all") {
			go panic(words[1])
			select {}
		}
		return []byte("not me"), nil
	})
	w.Handle("tally", func(ctx context.Context, words []string) ([]byte, error) {
		return []byte("begun"), tally(w.Context(), words)
	})
	w.Handle("flood", func(_ context.Context, words []string) ([]byte, error) {
		return []byte("written"), flood(words)
	})
	w.Handle("say", func(_ context.Context, words []string) ([]byte, error) {
		for _, word := range words {
			fmt.Println(word)
		}
		return []byte("said"), nil
	})
}

// tally writes so many numbered lines, one a millisecond.
func tally(ctx context.Context, words []string) error {
	if len(words) != 1 {
		return errors.New("usage: tally N")
	}
	n, err := strconv.Atoi(words[0])
	if err != nil {
		return err
	}
	go func() { // ends with the worker at the latest
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := range n {
			fmt.Printf("tally %d\n", i+1)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// flood writes so many numbered lines of a kilobyte, as fast as it can.
func flood(words []string) error {
	if len(words) != 1 {
		return errors.New("usage: flood N")
	}
	n, err := strconv.Atoi(words[0])
	if err != nil {
		return err
	}
	for i := range n {
		fmt.Printf("flood %6d %s\n", i+1, strings.Repeat("~", 1000))
	}
	return nil
}

// late panics when it is asked to, which may be long after the worker is ready.
func late(slot int) {
	for {
		if _, ok := asked("late", slot); ok {
			panic("late crash: nil config")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// asked looks for a request to the worker of a slot.
func asked(name string, slot int) (string, bool) {
	for _, file := range []string{name, fmt.Sprintf("%s.%d", name, slot)} {
		text, err := os.ReadFile(file)
		if err == nil {
			return strings.TrimSpace(string(text)), true
		}
		if !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintln(os.Stderr, "faulty:", err)
		}
	}
	return "", false
}

// child starts a process that outlives the worker unless its process group is
// ended as a whole.
func child() error {
	c := exec.Command("/bin/sh", "-c", `trap "" TERM; echo "child $$"; exec tail -f /dev/null`)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c.Start()
}
