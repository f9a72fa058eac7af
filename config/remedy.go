package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// A Remedy is keys to be set, all of them.
type Remedy []Setting

// A Setting is one key and its value as it stands in the file.
type Setting struct {
	Watch string // whose key it is; "" for one of another table
	Key   string // "discover_every" of a watch, else "limits.connections"
	Value string // with its quotes
}

// String gives the line of the file, and the watch that it belongs to.
func (s Setting) String() string {
	if s.Watch == "" {
		return s.Key + " = " + s.Value
	}
	return s.Key + " = " + s.Value + " in watch " + s.Watch
}

// Remedies gives changes of which each alone makes every promise hold: another
// way of discovery, times made longer, and limits made higher. There are none where nothing has to
// change, or where no value that a key may have is enough; then the targets or
// the ports are too many.
func (c *Config) Remedies(k Costing) []Remedy {
	if len(c.Feasible(k)) == 0 {
		return nil
	}
	var out []Remedy
	method := Remedy{{Key: "discovery.method", Value: fmt.Sprintf("%q", SYN)}}
	for i, r := range []Remedy{method, c.longer(k), c.higher(k)} {
		by := k
		by.SYN = k.SYN || i == 0
		if len(r) == 0 || i == 0 && (k.SYN || c.Discovery.Method != Auto) {
			continue
		}
		// Whether it is enough is found by doing the arithmetic again.
		if changed, err := c.with(r); err == nil && len(changed.Feasible(by)) == 0 {
			out = append(out, r)
		}
	}
	return out
}

// longer makes the times of watches longer until all promises hold: first those
// that do not hold alone, then all, by as much as they are too much together.
func (c *Config) longer(k Costing) Remedy {
	changed := c.clone()
	const most = 2 // of which one is for the visits of a watch, one for its sweeps
	for range most {
		for _, p := range changed.Feasible(k) {
			changed.lengthen(changed.watch(p.Watch), p.Key, k)
		}
	}
	if use := changed.Total(k).Use(); use > overload {
		for i := range changed.Watches {
			w := &changed.Watches[i]
			if x := c.Cost(w, k); x.Addrs > x.Loopback {
				w.DiscoverEvery = atMost(use * w.DiscoverEvery.Seconds())
				w.VerifyEvery = atMost(use * w.VerifyEvery.Seconds())
				if x.SearchPerSecond > 0 {
					w.Hosts.Every = atMost(use * w.Hosts.Every.Seconds())
				}
			}
		}
	}
	var out Remedy
	for i := range c.Watches {
		old, now := &c.Watches[i], &changed.Watches[i]
		if now.DiscoverEvery != old.DiscoverEvery {
			out = append(out, Setting{old.Name, "discover_every", quoted(now.DiscoverEvery)})
		}
		if now.VerifyEvery != old.VerifyEvery {
			out = append(out, Setting{old.Name, "verify_every", quoted(now.VerifyEvery)})
		}
		if now.Hosts.Every != old.Hosts.Every {
			out = append(out, Setting{old.Name, "hosts_every", quoted(now.Hosts.Every)})
		}
	}
	return out
}

func quoted(d time.Duration) string { return fmt.Sprintf("%q", short(d)) }

// lengthen sets one time to the least with which the watch alone may hold.
func (c *Config) lengthen(w *Watch, key string, k Costing) {
	x := c.Cost(w, k)
	if key == "hosts_every" {
		w.Hosts.Every = max(w.Hosts.Every, atMost(c.searchEnough(w, x).Seconds()))
		return
	}
	if key == "verify_every" {
		least := ServicesPerHost / float64(c.Limits.HostNewConnectionsPerSecond)
		if !x.holds() {
			least = max(least, 2*c.visitUse(x)*w.VerifyEvery.Seconds())
		}
		w.VerifyEvery = max(w.VerifyEvery, atMost(least))
		return
	}
	least := x.HostTries / float64(c.Limits.HostPacketsPerSecond)
	if !x.holds() {
		least = max(least, c.slowEnough(w, x, k).Seconds())
	}
	w.DiscoverEvery = max(w.DiscoverEvery, atMost(least))
}

// atMost gives a number of seconds as a time that a file may have.
func atMost(s float64) time.Duration { return min(seconds(s), maxEvery) }

// higher gives the limits that all watches together need.
func (c *Config) higher(k Costing) Remedy {
	var out Remedy
	add := func(key string, need float64, have int) {
		if n := int(math.Ceil(need)); n > have {
			out = append(out, Setting{Key: "limits." + key, Value: fmt.Sprint(n)})
		}
	}
	l, total := &c.Limits, c.Total(k)
	var packets, visits float64 // to one host, per second
	for i := range c.Watches {
		w := &c.Watches[i]
		if x := c.Cost(w, k); !w.BestEffort && x.Addrs > x.Loopback {
			packets = max(packets, x.HostTries/w.DiscoverEvery.Seconds())
			visits = max(visits, ServicesPerHost/w.VerifyEvery.Seconds())
		}
	}
	add("packets_per_second", total.Packets*float64(l.PacketsPerSecond), l.PacketsPerSecond)
	// A quarter of the connections, rounded down, is for visits.
	add("connections", max(total.Discovery*float64(l.DiscoveryConnections())/0.75,
		4*math.Ceil(total.Conversations*float64(l.ConversationConnections()))), l.Connections)
	add("host_packets_per_second", packets, l.HostPacketsPerSecond)
	add("host_new_connections_per_second", visits, l.HostNewConnectionsPerSecond)
	return out
}

// with gives a copy of c in which r is set. It fails for what the file may not
// have.
func (c *Config) with(r Remedy) (*Config, error) {
	out := c.clone()
	in := &reader{set: map[string]Pos{}}
	for _, s := range r {
		var m map[string]any
		if _, err := toml.Decode("x = "+s.Value, &m); err != nil {
			return nil, err
		}
		v := value{m["x"], "", s.String(), s.Key, &place{}}
		section, name, _ := strings.Cut(s.Key, ".")
		switch {
		case s.Watch != "":
			watchTable[s.Key](in, out.watch(s.Watch), v)
		case section == "limits":
			limitsTable[name](in, &out.Limits, v)
		default:
			discoveryTable[name](in, &out.Discovery, v)
		}
	}
	return out, in.errs.result(nil)
}

// clone copies what with and longer change.
func (c *Config) clone() *Config {
	out := *c
	out.Watches = slices.Clone(c.Watches)
	return &out
}

// watch gives the watch of a name, or nil.
func (c *Config) watch(name string) *Watch {
	for i := range c.Watches {
		if c.Watches[i].Name == name {
			return &c.Watches[i]
		}
	}
	return nil
}
