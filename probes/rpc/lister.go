package rpc

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sonde/probes"
)

// A Program is one program of a port mapper's list, at one port.
type Program struct {
	Program   uint32
	Name      string // "" when the table lacks the number
	Low, High uint32 // of the versions that are listed
	Transport probes.Transport
	Port      uint16
}

// A List is what a port mapper told.
type List struct {
	// Programs are those with a port, ordered by number, transport and port.
	Programs []Program
	// Versions are those of the port mapper's protocol that gave a list.
	Versions []uint32
	// Truncated is set when a list had more than MaxMappings.
	Truncated bool
	// Problems say what was wrong with single replies.
	Problems []string
	// Reason is why it ended: "listed", or why there is no list.
	Reason string
}

// Facts gives each program once, with the versions of all its ports.
func (l *List) Facts() []probes.RPCFacts {
	var facts []probes.RPCFacts
	for _, p := range l.Programs { // ordered by number
		if n := len(facts); n > 0 && facts[n-1].Program == p.Program {
			last := &facts[n-1]
			last.Low, last.High = min(last.Low, p.Low), max(last.High, p.High)
			continue
		}
		facts = append(facts, probes.RPCFacts{Program: p.Program, Name: p.Name, Low: p.Low, High: p.High})
	}
	return facts
}

// Find gives the program that is listed at a port; of several, the one with the
// lowest number.
func (l *List) Find(transport probes.Transport, port uint16) (Program, bool) {
	i := slices.IndexFunc(l.Programs, func(p Program) bool {
		return p.Transport == transport && p.Port == port
	})
	if i < 0 {
		return Program{}, false
	}
	return l.Programs[i], true
}

// A Lister asks a port mapper for its list: by rpcbind version 4, if that is
// refused by version 3, which has the same list, and then by version 2, which
// may have more on a server that keeps the lists apart.
//
// Its methods are those of a [Grind]. Over UDP a long list does not arrive, as
// the reply must fit in one datagram; TCP is better.
type Lister struct {
	exchange
	step   int // index into dumps
	unsent bool
	tries  int
	heard  bool // a reply since the last opening
	ports  map[portKey]*Program
	list   List
}

// dumps are the versions in the order in which they are asked.
var dumps = [...]uint32{rpcbVersion4, rpcbVersion3, pmapVersion}

type portKey struct {
	program   uint32
	transport probes.Transport
	port      uint16
}

// NewLister prepares to ask.
func NewLister(set Settings) *Lister {
	return &Lister{
		exchange: exchange{set: set, waiting: map[int]bool{}},
		unsent:   true,
		ports:    map[portKey]*Program{},
	}
}

// Next gives the next call to send, framed for the transport. It gives nothing
// while a reply is awaited, and when all is done.
func (l *Lister) Next() (send []byte, ok bool) {
	if l.over || !l.unsent {
		return nil, false
	}
	l.unsent = false
	return l.call(l.step, PortMapper, dumps[l.step], procDump), true
}

// Received digests bytes of the stream, or one datagram.
func (l *Lister) Received(data []byte) { l.receive(data, l.digest) }

// Lapsed says that the time for a reply is over. Over UDP the call is sent
// again, MaxTries times in all; then the next version is asked.
func (l *Lister) Lapsed() {
	if l.over {
		return
	}
	if l.tries++; l.set.Transport == probes.UDP && l.tries < MaxTries {
		l.unsent = true
		return
	}
	l.problem("no reply")
	l.advance(l.shortest()) // a lost reply may have been too long
}

// Reopened says that the server closed the connection and a new one is there.
func (l *Lister) Reopened() {
	if l.over {
		return
	}
	if l.reopen(); l.over {
		return
	}
	clear(l.waiting)
	if !l.heard {
		l.problem("closed without a reply")
		l.advance(l.step + 1)
	}
	l.heard, l.unsent = false, !l.over
}

// Done reports whether the conversation is over.
func (l *Lister) Done() bool { return l.over }

// Result gives what is known so far.
func (l *Lister) Result() List {
	list := l.list
	list.Reason = l.reason
	for _, p := range slices.SortedFunc(maps.Values(l.ports), comparePrograms) {
		list.Programs = append(list.Programs, *p)
	}
	return list
}

func comparePrograms(a, b *Program) int {
	return cmp.Or(cmp.Compare(a.Program, b.Program), cmp.Compare(a.Transport, b.Transport),
		cmp.Compare(a.Port, b.Port))
}

func (l *Lister) problem(text string) {
	l.list.Problems = append(l.list.Problems, fmt.Sprintf("version %d: %s", dumps[l.step], text))
}

// shortest is the step after the current one that needs the shortest reply:
// version 2, whose mappings have 20 bytes.
func (l *Lister) shortest() int { return max(l.step+1, len(dumps)-1) }

// advance goes to a later step, or ends.
func (l *Lister) advance(step int) {
	l.step, l.tries = step, 0
	switch {
	case l.step < len(dumps):
		l.unsent = true
	case len(l.list.Versions) > 0:
		l.end("listed")
	default:
		l.end("no list")
	}
}

// digest takes the reply to the call of a step, which may be a late one to an
// earlier step.
func (l *Lister) digest(step int, r Reply) {
	l.heard = true
	if r.Status == Success {
		l.read(step, r.Results)
	}
	if step != l.step {
		return
	}
	if r.Status != Success {
		l.problem(r.Status.String())
	}
	if r.Status == Success && step == 0 {
		l.advance(l.shortest())
		return
	}
	l.advance(l.step + 1)
}

func (l *Lister) read(step int, results []byte) {
	parse := ParseRpcbind
	if dumps[step] == pmapVersion {
		parse = ParsePortmap
	}
	mappings, err := parse(results)
	if err != nil {
		l.list.Truncated = l.list.Truncated || errors.Is(err, ErrTooManyMappings)
		l.list.Problems = append(l.list.Problems, fmt.Sprintf("version %d: %v", dumps[step], err))
	}
	if err == nil || len(mappings) > 0 {
		l.list.Versions = append(l.list.Versions, dumps[step])
	}
	for _, m := range mappings {
		l.add(m)
	}
}

// add merges a mapping, if it is of a transport with ports. IPv4 and IPv6 count
// as one: the addresses of the list are the server's own view.
func (l *Lister) add(m Mapping) {
	var transport probes.Transport
	switch m.Network {
	case "tcp", "tcp6":
		transport = probes.TCP
	case "udp", "udp6":
		transport = probes.UDP
	}
	if transport == "" || m.Addr.Port() == 0 {
		return
	}
	key := portKey{m.Program, transport, m.Addr.Port()}
	p, ok := l.ports[key]
	if !ok {
		p = &Program{m.Program, l.set.names().Name(m.Program), m.Version, m.Version, transport, m.Addr.Port()}
		l.ports[key] = p
	}
	p.Low, p.High = min(p.Low, m.Version), max(p.High, m.Version)
}
