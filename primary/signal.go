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

func primarySignals() []os.Signal {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2}
}

// ignoreSignals makes no signal deadly until the next Notify. The caller then has
// all earlier ones: Stop returns when those that the runtime has taken are in
// their channels, and Ignore would drop them.
func ignoreSignals() {
	other := make(chan os.Signal, 1)
	signal.Notify(other, syscall.SIGWINCH) // does nothing to a process that does not take it
	signal.Stop(other)
	signal.Ignore(primarySignals()...)
}
