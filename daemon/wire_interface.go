package main

import (
	"fmt"
	"net"

	"sonde/config"
	"sonde/probes/engine"
)

// mayBind says which watch names an interface that the sockets of this program
// cannot be bound to: never is one asked by another way than by that. Whether
// there is such an interface is another matter, as it may come.
func mayBind(cfg *config.Config) error {
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		if w.Interface == "" {
			continue
		}
		if err := engine.MayBind(); err != nil {
			return fmt.Errorf("watch %s: interface %s: %w; give the program CAP_NET_RAW, or remove the key", w.Name, w.Interface, err)
		}
		return nil
	}
	return nil
}

// checkInterface refuses an interface that a scan cannot go by.
func (o *scanOptions) checkInterface(t *targets) error {
	if o.how.via == "" {
		return nil
	}
	if near, _ := t.addrs.SplitLoopback(); near.Len() > 0 {
		return usageError{fmt.Errorf("--interface %s leads to no loopback address such as %s; scan these without it",
			o.how.via, near.At(0))}
	}
	if _, err := net.InterfaceByName(o.how.via); err != nil {
		return fmt.Errorf("--interface %s: %w", o.how.via, err)
	}
	if err := engine.MayBind(); err != nil {
		return fmt.Errorf("--interface %s: %w", o.how.via, err)
	}
	return nil
}
