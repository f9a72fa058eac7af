package main

import (
	"os"
	"os/signal"
)

// obeyReopen reopens the outputs at each signal that asks for it, until stop is
// called.
func (d *daemon) obeyReopen() (stop func()) {
	if len(reopenSignals) == 0 {
		return func() {} // signal.Notify would take that for all signals
	}
	asked, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(asked, reopenSignals...)
	go func() {
		defer close(ended)
		for range asked {
			d.log.Info("reopening outputs")
			d.reopenOutputs()
		}
	}()
	return func() {
		signal.Stop(asked)
		close(asked) // nobody sends any more
		<-ended
	}
}
