package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"sonde/capture/route"
	"sonde/config"
)

// A hostsPlan is how hosts of a watch are looked for beside its sweeps.
type hostsPlan struct {
	Networks []string `json:"networks"` // that are too large to be walked
	Most     int      `json:"hosts_most,omitempty"`
	Every    float64  `json:"hosts_every_s"`
	FoundBy  []string `json:"found_by"`
}

// newHostsPlan says how hosts are looked for, nil where they are not. Packets says
// that packets of our own may be sent, and reach tells the links, if it is not nil.
func newHostsPlan(cfg *config.Config, w *config.Watch, packets bool, reach reachFunc) *hostsPlan {
	if !cfg.Searches(w) {
		return nil
	}
	h := &hostsPlan{Networks: []string{}, Every: w.Hosts.Every.Seconds()}
	for _, r := range w.Targets {
		if !r.Walked() {
			h.Networks = append(h.Networks, r.String())
		}
	}
	if len(h.Networks) > 0 {
		h.Most = w.Hosts.Most
		h.FoundBy = networkWays(cfg, w, packets, reach)
	}
	switch {
	case w.Hosts.Echo && packets:
		h.FoundBy = append(h.FoundBy, "echo")
	case w.Hosts.Echo:
		h.FoundBy = append(h.FoundBy, "no echo, which needs CAP_NET_RAW")
	}
	return h
}

// networkWays names the ways in which hosts of large networks are found.
func networkWays(cfg *config.Config, w *config.Watch, packets bool, reach reachFunc) (list []string) {
	if len(w.Names) > 0 {
		list = append(list, "names")
	}
	links := "the links of this sensor"
	if reach != nil {
		if links = strings.Join(linksOf(cfg.Networks(w), w.Interface, reach), ", "); links == "" {
			links = "no link, as routers lie between"
		}
	}
	list = append(list, "the kernel's neighbours on "+links)
	if !packets {
		return append(list, "nothing else without CAP_NET_RAW")
	}
	if cfg.CallsAllNodes(w) {
		list = append(list, "calls to all nodes, neighbour discovery and multicast reports on "+links)
	}
	if listens(cfg) {
		list = append(list, "listening")
	}
	return list
}

// linksOf gives the interfaces that addresses are neighbours on, of which via is
// the only one if it is not empty.
func linksOf(set config.AddrSet, via string, reach reachFunc) (list []string) {
	for _, p := range prefixes(set) {
		for y, err := range reach(p, via) {
			if err == nil && y.OnLink && !slices.Contains(list, y.Interface) {
				list = append(list, y.Interface)
			}
		}
	}
	return list
}

// String gives it on one line.
func (h *hostsPlan) String() string {
	s := "looked for every " + short(h.Every) + ": " + strings.Join(h.FoundBy, "; ")
	if len(h.Networks) > 0 {
		s = fmt.Sprintf("up to %d of %s, which no sweep walks; %s", h.Most, shortList(h.Networks), s)
	}
	return s
}

// A neighborPlan is what visits may want of the kernel's neighbour table: an entry
// for each host on a link of this machine. Discovery by packets wants none, and
// that by connections no more than half of what is free.
type neighborPlan struct {
	Version int    `json:"ip_version"`
	OnLink  uint64 `json:"on_link"` // addresses in scope
	Thresh2 int    `json:"gc_thresh2"`
	Thresh3 int    `json:"gc_thresh3"`
	Entries int    `json:"entries"` // now, of the whole machine
	Advice  string `json:"advice,omitempty"`
}

// neighbors tells the need of a configuration, for each version of IP that it has
// on links. Without routes nothing is known.
func (n *network) neighbors(cfg *config.Config) (list []neighborPlan) {
	list = []neighborPlan{}
	if n.routes == nil {
		return list
	}
	var onLink [2]uint64
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		four, six := countOnLink(n.routes, cfg.Walked(w), w.Interface)
		if _, there := countOnLink(n.routes, cfg.Networks(w), w.Interface); there > 0 {
			six += uint64(w.Hosts.Most)
		}
		onLink[0], onLink[1] = onLink[0]+four, onLink[1]+six
	}
	for i, count := range onLink {
		table, err := n.routes.Neighborhood(i == 1)
		if count > 0 && err == nil {
			list = append(list, newNeighborPlan(4+2*i, count, table))
		}
	}
	return list
}

// neighborSpare is the part of the table, an eighth, that visits leave to others,
// as capture.Guard does.
const neighborSpare = 8

func newNeighborPlan(version int, onLink uint64, t route.Neighborhood) neighborPlan {
	p := neighborPlan{Version: version, OnLink: onLink, Thresh2: t.Thresh2, Thresh3: t.Thresh3, Entries: t.Entries}
	if most := uint64(t.Thresh3 - t.Thresh3/neighborSpare); onLink > most {
		need := (onLink*neighborSpare + neighborSpare - 2) / (neighborSpare - 1)
		p.Advice = fmt.Sprintf("if more than %d hosts are there, visits wait for room: "+
			"set net.ipv%d.neigh.default.gc_thresh3 = %d and gc_thresh2 = %d", most, version, need, need/2)
	}
	return p
}

// countOnLink counts the addresses of a set that are neighbours, by version of IP.
func countOnLink(t *route.Table, set config.AddrSet, via string) (four, six uint64) {
	_, far := set.SplitLoopback()
	for _, r := range far.Ranges() {
		for _, p := range prefixes(config.NewAddrSet(r)) {
			for s, err := range spans(t, p, cmp.Or(via, r.First.Zone())) {
				if err != nil || s.Hop.Local || !s.Hop.OnLink || !s.Hop.Link.Resolves() {
					continue
				}
				n := config.Range{First: s.First, Last: s.Last}.Size()
				if s.First.Is4() {
					four += n
				} else {
					six += min(n, 1<<32) // the sum of a large network is of no use
				}
			}
		}
	}
	return four, six
}

func (p *neighborPlan) write(t io.Writer) {
	fmt.Fprintf(t, "  neighbours\tup to %d hosts of IPv%d on links; the kernel's table holds %d (gc_thresh3), now %d\n",
		p.OnLink, p.Version, p.Thresh3, p.Entries)
	if p.Advice != "" {
		fmt.Fprintf(t, "  \t%s\n", p.Advice)
	}
}
