package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sonde/daemon/internal/event"
)

// tellBaselined tells that the first look at a scope is complete.
func (tx *transaction) tellBaselined(p *Pass, covered *scope) error {
	counts, services, err := tx.count(covered)
	if err != nil {
		return err
	}
	ev := event.Event{
		Action:     event.WatchBaselined,
		Severity:   event.SeverityOf(event.WatchBaselined, ""),
		Cause:      event.CauseConfig,
		Watch:      p.Watch,
		Zone:       p.Zone,
		ObservedAt: p.Done.UTC(),
		Counts:     counts,
		Message: cleanString(fmt.Sprintf("watch %s: first look at its %s ports complete: %d services on %d hosts%s",
			p.Watch, strings.ToUpper(string(covered.transport())), counts["endpoints"], counts["hosts"], services), maxMessage),
	}
	return tx.emit(&ev, 0)
}

// maxCounted is how many services watch.baselined counts by name, the most
// frequent first; the others are counted together.
const maxCounted = 50

// count counts what is present in a scope: endpoints, hosts, and endpoints by
// service under "service.NAME". It also gives the services as text.
func (tx *transaction) count(c *scope) (map[string]int, string, error) {
	rows, err := tx.conn.QueryContext(tx.ctx, `select addr, port, service from endpoints
		where zone = ? and transport = ? and status = ? and retired = 0`,
		c.zone, string(c.transport()), string(Present))
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	hosts, services, endpoints := map[string]bool{}, map[string]int{}, 0
	for rows.Next() {
		var addr, service string
		k := event.Key{Zone: c.zone, Transport: c.transport()}
		if err := rows.Scan(&addr, &k.Port, &service); err != nil {
			return nil, "", err
		}
		if k.Addr, err = netip.ParseAddr(addr); err != nil {
			return nil, "", err
		}
		if !c.covers(k) {
			continue
		}
		endpoints++
		hosts[addr] = true
		services[cmp.Or(service, "unknown")]++
	}
	counts, text := countServices(services)
	counts["endpoints"], counts["hosts"] = endpoints, len(hosts)
	return counts, text, rows.Err()
}

func countServices(services map[string]int) (map[string]int, string) {
	names := slices.SortedFunc(maps.Keys(services), func(a, b string) int {
		return cmp.Or(services[b]-services[a], strings.Compare(a, b))
	})
	counts := map[string]int{}
	var text strings.Builder
	for i, name := range names {
		if i >= maxCounted {
			counts["service.others"] += services[name]
			continue
		}
		counts["service."+name] = services[name]
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&text, "%s%s %d", sep, name, services[name])
	}
	return counts, text.String()
}
