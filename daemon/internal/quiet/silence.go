package quiet

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// A Target is what a silence covers.
type Target struct {
	watch     string       // or …
	prefix    netip.Prefix // … hosts, or with a port …
	port      uint16       // … one endpoint
	transport probes.Transport
}

// ParseTarget reads "192.0.2.1:443/tcp", "[2001:db8::1]:53/udp", an address, a
// CIDR prefix, or the name of a watch.
func ParseTarget(s string) (Target, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return Target{prefix: netip.PrefixFrom(a.WithZone(""), a.BitLen())}, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return Target{prefix: p.Masked()}, nil
	}
	if at, transport, ok := strings.Cut(s, "/"); ok {
		t := Target{transport: probes.Transport(transport)}
		ap, err := netip.ParseAddrPort(at)
		if err != nil || t.transport != probes.TCP && t.transport != probes.UDP || ap.Port() == 0 {
			return t, fmt.Errorf(`%.80q is no target; write one like "192.0.2.1:443/tcp", "192.0.2.0/24" or the name of a watch`, s)
		}
		a := ap.Addr().Unmap()
		t.prefix, t.port = netip.PrefixFrom(a.WithZone(""), a.BitLen()), ap.Port()
		return t, nil
	}
	if s == "" || strings.ContainsAny(s, " \t\r\n:/") {
		return Target{}, fmt.Errorf(`%.80q is no target; write one like "192.0.2.1:443/tcp", "192.0.2.0/24" or the name of a watch`, s)
	}
	return Target{watch: s}, nil
}

// covers says whether an event is about the target. One about a watch as a
// whole is not about one of its hosts.
func (t *Target) covers(e *event.Event) bool {
	if t.watch != "" {
		return t.watch == e.Watch
	}
	o := e.Endpoint
	if o == nil || !t.prefix.Contains(o.Addr.Unmap().WithZone("")) {
		return false
	}
	return t.port == 0 || t.port == o.Port && t.transport == o.Transport
}

type silence struct {
	target Target
	order  Order
}

// A Window is a time of maintenance.
type Window struct {
	Name string
	// At says whether a time is in it, and until when that stays so.
	At func(time.Time) (in bool, until time.Time)
	// Covers says whether it covers an address of a watch, or without a valid
	// one the watch as a whole.
	Covers func(watch string, a netip.Addr) bool
}

// A Standing is how a maintenance window stands.
type Standing struct {
	Name  string    `json:"name"`
	On    bool      `json:"on"`
	Until time.Time `json:"until"` // at least; then it may be otherwise
}

// Windows tells how the maintenance windows stand.
func (b *Book) Windows() []Standing {
	now, list := b.now(), []Standing{}
	for _, w := range b.state.Load().windows {
		in, until := w.At(now)
		list = append(list, Standing{w.Name, in, until.UTC()})
	}
	return list
}

// SetWindows replaces the maintenance windows, for a new configuration.
func (b *Book) SetWindows(windows []Window) {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.set(b.state.Load().orders, windows)
}

// Silenced says whether an event that is decided at now is silenced. What
// the sensor tells of itself, without a watch, never is.
func (b *Book) Silenced(e *event.Event, now time.Time) bool {
	if e.Watch == "" {
		return false
	}
	s := b.state.Load()
	for i := range s.silences {
		if q := &s.silences[i]; !q.order.over(now) && q.target.covers(e) {
			return true
		}
	}
	var a netip.Addr
	if e.Endpoint != nil {
		a = e.Endpoint.Addr.Unmap().WithZone("")
	}
	for _, w := range s.windows {
		if w.Covers(e.Watch, a) {
			if in, _ := w.At(now); in {
				return true
			}
		}
	}
	return false
}
