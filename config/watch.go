package config

import (
	"fmt"
	"strings"
)

// watches reads [[watch]] tables. They join in the order of the files, so
// nothing of one watch can be set in two of them.
func watches(r *reader, c *Config, v value) {
	tables, ok := v.tables()
	if !ok {
		r.bad(v, "is %s, but must be a list of tables; write [[watch]] with double brackets", kindOf(v.any))
		return
	}
	for i, t := range tables {
		n := len(c.Watches)
		e := value{t, v.file, watchPath(n), "watch", v.place.item(i)}
		w := newWatch()
		r.set[e.path] = e.pos()
		watchTable.read(r, &w, e)
		c.Watches = append(c.Watches, w)
	}
}

// tables gives the elements of a list of tables.
func (v value) tables() (out []any, ok bool) {
	switch x := v.any.(type) {
	case []map[string]any:
		for _, t := range x {
			out = append(out, t)
		}
		return out, true
	case []any:
		return x, true
	default:
		return nil, false
	}
}

func watchPath(i int) string { return fmt.Sprintf("watch[%d]", i) }

// where gives the place of a key of a watch, or of the watch where the key is
// not set.
func (r *reader) where(watch int, key string) Pos {
	if at, ok := r.set[watchPath(watch)+"."+key]; ok {
		return at
	}
	return r.set[watchPath(watch)]
}

// checkWatches checks what concerns more than one key.
func (r *reader) checkWatches(c *Config) {
	names := map[string]int{}
	for i := range c.Watches {
		w := &c.Watches[i]
		r.checkWatch(i, w)
		if w.Name == "" {
			continue // told already
		}
		if first, twice := names[w.Name]; twice {
			r.fail(r.where(i, "name"), "watch.name", "%q is the watch at %s already; choose another name",
				w.Name, r.where(first, "name"))
			continue
		}
		names[w.Name] = i
	}
	for _, pair := range divided(c.Watches) {
		a, b := pair[0], pair[1]
		r.fail(r.where(b.watch, "interface"), "watch.interface",
			"of watch %q is %s and of watch %q (%s) %s, but both have %s in zone %q; "+
				"give one another zone, as the addresses of two interfaces are those of two networks",
			c.Watches[b.watch].Name, interfaceText(&c.Watches[b.watch]), c.Watches[a.watch].Name,
			r.where(a.watch, "targets"), interfaceText(&c.Watches[a.watch]), b.Range, c.Watches[a.watch].Zone)
	}
	for _, pair := range contested(c.Watches) {
		a, b := pair[0], pair[1]
		r.fail(r.where(b.watch, "targets"), "watch.targets",
			"%s overlaps %s of watch %q (%s) in zone %q and is of the same size, so neither is the more specific; "+
				"narrow one of them, or give one another zone",
			b.Range, a.Range, c.Watches[a.watch].Name, r.where(a.watch, "targets"), c.Watches[a.watch].Zone)
	}
}

func (r *reader) checkWatch(i int, w *Watch) {
	if _, set := r.set[watchPath(i)+".name"]; !set && !r.failed(i, "name") {
		r.fail(r.where(i, ""), "watch.name", `is missing; write name = "office"`)
	}
	if len(w.Targets) == 0 && !r.failed(i, "targets") {
		r.fail(r.where(i, "targets"), "watch.targets", `is missing or empty; write targets = ["192.168.0.0/24"]`)
	}
	if err := checkWatchTargets(w); err != nil {
		r.fail(r.where(i, "targets"), "watch.targets", "%v", err)
	}
	if w.TCPPorts.IsEmpty() && w.UDPPorts.IsEmpty() && !r.failed(i, "tcp_ports") {
		r.fail(r.where(i, "tcp_ports"), "watch.tcp_ports", "and udp_ports are both empty; write ports in one of them")
	}
	if err := checkWatchInterface(w); err != nil {
		r.fail(r.where(i, "interface"), "watch.interface", "%v", err)
	}
	set := NewAddrSet(w.Targets...)
	for _, n := range w.Names {
		if n.Addr.IsValid() && !set.Contains(n.Addr) {
			r.fail(r.where(i, "names"), "watch.names", "%s=%s names an address that is no target of the watch; "+
				"add it to targets, or remove the name", n.Name, n.Addr)
		}
	}
}

// failed says whether a mistake in this key of the watch is told already, so
// that its absence is not told too.
func (r *reader) failed(watch int, key string) bool {
	from := r.set[watchPath(watch)]
	to, more := r.set[watchPath(watch+1)]
	for _, e := range r.errs {
		inside := e.File == from.File && e.Line >= from.Line &&
			(!more || to.File != from.File || e.Line < to.Line)
		if inside && strings.HasPrefix(e.Key, "watch."+key) {
			return true
		}
	}
	return false
}
