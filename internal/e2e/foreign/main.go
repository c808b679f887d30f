// Foreign is a program that knows nothing of norestart: it takes its socket as
// from systemd, or else listens on the port that PORT names, says that it is ready,
// and ends at the first TERM when it has answered what it accepted. With the name of
// a pipe as its argument it serves nothing, and says the words that come there. As
// "foreign activate ADDRESSES PROGRAM …" it executes a program with sockets, as systemd
// does for a .socket unit. As "foreign tell WORD …" it says these words, as
// systemd-notify(1) does.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) > 3 && os.Args[1] == "activate":
		activate(os.Args[2], os.Args[3:])
	case len(os.Args) > 2 && os.Args[1] == "tell":
		tellAndWait(os.Args[2:])
		return
	case len(os.Args) > 1:
		say(os.Args[1])
	}
	serve(listen())
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if d, err := time.ParseDuration(r.FormValue("d")); err == nil {
			time.Sleep(d)
		}
		fmt.Fprintf(w, "pid=%d slot=%s generation=%s\n", os.Getpid(), os.Getenv("NORESTART_SLOT"), os.Getenv("GENERATION"))
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { // as a file of its directory says
		switch word, _ := os.ReadFile(fmt.Sprintf("health-%d", os.Getpid())); string(word) {
		case "fail\n":
			http.Error(w, "no database", http.StatusServiceUnavailable)
		case "hang\n":
			<-r.Context().Done()
		}
	})
	mux.HandleFunc("/environ", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, strings.Join(os.Environ(), "\n"))
	})
	mux.HandleFunc("/client", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "X-Forwarded-For="+strings.Join(r.Header["X-Forwarded-For"], "|"))
	})
	mux.HandleFunc("/listen", func(w http.ResponseWriter, _ *http.Request) {
		if other, err := net.Listen("tcp", "127.0.0.1:0"); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		} else {
			fmt.Fprintln(w, other.Addr())
			_ = other.Close()
		}
	})
	mux.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) { // so many MiB of memory, for good
		n, err := strconv.Atoi(r.FormValue("mib"))
		if err == nil {
			_, err = syscall.Mmap(-1, 0, n<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_POPULATE)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, os.Getpid())
	})
	return mux
}

// serve answers until TERM, and what it has accepted by then.
func serve(ln net.Listener) {
	var open sync.WaitGroup // connections
	server := &http.Server{Handler: routes(), ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Done()
		}
	}}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	done := make(chan error)
	go func() { done <- server.Serve(ln) }()
	tell("READY=1\nSTATUS=serves " + ln.Addr().String())
	<-ctx.Done()
	tell("STOPPING=1")
	_ = ln.Close() // Serve tells
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		log.Fatal(err)
	}
	// Not Shutdown: it closes a connection whose request comes after it has begun.
	server.SetKeepAlivesEnabled(false)
	open.Wait()
}

func listen() net.Listener {
	var ln net.Listener
	var err error
	switch pid := os.Getenv("LISTEN_PID"); pid {
	case fmt.Sprint(os.Getpid()):
		ln, err = net.FileListener(os.NewFile(3, "web"))
	case "":
		ln, err = net.Listen("tcp", ":"+os.Getenv("PORT"))
	default:
		err = fmt.Errorf("LISTEN_PID is %q, not %d", pid, os.Getpid())
	}
	if err != nil {
		log.Fatal(err)
	}
	return ln
}

// tell is sd_notify(3).
func tell(state string) {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return // nobody wants to know
	}
	defer conn.Close()
	fmt.Fprint(conn, state)
}
