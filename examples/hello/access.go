package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/norestart/norestart/worker"
)

// logAccess writes a line for each connection and for each request of srv, at
// their beginning and at their end. All workers write to one file: a line is one
// write(2) to a file that was opened with O_APPEND, so lines never mix.
func logAccess(srv *http.Server, w *worker.Worker, path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(f, nil)).With("worker", w.ID(), "pid", os.Getpid())
	next := srv.Handler
	srv.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		request := log.With("remote", r.RemoteAddr, "id", r.Header.Get("X-Request-Id"))
		request.Info("begin", "method", r.Method, "path", r.URL.Path)
		defer request.Info("end")
		next.ServeHTTP(rw, r)
	})
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			log.Info("accept", "remote", c.RemoteAddr())
		case http.StateClosed, http.StateHijacked:
			log.Info(s.String(), "remote", c.RemoteAddr())
		}
	}
	return f, nil
}
