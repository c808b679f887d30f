package primary

import (
	"os"
	"os/signal"
	"syscall"
)

// early are the signals of a primary that has just been executed in place. The
// image before ignored them, so that none was deadly; the sooner they are taken
// again, the fewer are lost.
var early = make(chan os.Signal, 4)

func init() {
	if os.Getenv(ImageVariable) != "" {
		signal.Notify(early, primarySignals()...)
	}
}

// takeSignals are the primary's signals from now on.
func takeSignals() chan os.Signal {
	signal.Notify(early, primarySignals()...)
	return early
}

// primarySignals are those that a primary takes.
func primarySignals() []os.Signal {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2}
}
