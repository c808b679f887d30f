package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/norestart/norestart/worker"
)

// web is what each worker of the pool does.
type web struct {
	h2c       bool
	cert, key string // files; empty: without TLS
	accessLog string // file; empty: none
}

func (h web) serve(ctx context.Context, w *worker.Worker) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	var count atomic.Int64
	w.Handle("flush", func(context.Context, []string) ([]byte, error) {
		return strconv.AppendInt(nil, count.Swap(0), 10), nil
	})
	w.Handle("finish", func(_ context.Context, ids []string) ([]byte, error) {
		if !slices.Contains(ids, w.ID()) {
			return nil, nil
		}
		quit()
		return []byte("quits"), nil
	})
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h.handler(w, &count), ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(h.h2c)
	if h.accessLog != "" {
		file, err := logAccess(srv, w, h.accessLog)
		if err != nil {
			return err
		}
		defer file.Close()
	}
	if h.cert == "" {
		return w.ServeHTTP(ctx, srv, ln)
	}
	pair, err := tls.LoadX509KeyPair(h.cert, h.key)
	if err != nil {
		return err
	}
	srv.Protocols.SetHTTP2(true)
	return w.ServeHTTP(ctx, srv, tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}))
}

func (h web) handler(w *worker.Worker, count *atomic.Int64) http.Handler {
	greeting := fmt.Sprintf("hello from %s pid=%d generation=%d\n", w.ID(), os.Getpid(), w.Generation())
	greet := func(rw http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		_, _ = fmt.Fprint(rw, greeting) // the client has gone: its loss
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", greet)
	mux.HandleFunc("GET /slow", func(rw http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.FormValue("d"))
		if err != nil || d < 0 || d > time.Minute {
			http.Error(rw, "d: must be a duration of at most a minute, as in /slow?d=20ms", http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(d):
			greet(rw, r)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /update", func(rw http.ResponseWriter, r *http.Request) { update(rw, r, w) })
	mux.HandleFunc("GET /echo", func(rw http.ResponseWriter, r *http.Request) { echo(w, rw, r) })
	return mux
}

// echo sends back what comes over a websocket, and says goodbye (status 1001,
// RFC 6455 §7.4.1) when the worker drains.
func echo(w *worker.Worker, rw http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(rw, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	defer w.Farewell(func(context.Context) { _ = c.Close(websocket.StatusGoingAway, "the worker drains") })()
	for {
		kind, data, err := c.Read(context.Background())
		if err != nil {
			return
		}
		if c.Write(context.Background(), kind, data) != nil {
			return
		}
	}
}
