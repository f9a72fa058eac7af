package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// What one answer holds at most: some 2 MiB.
const (
	servicesMost = 1000
	eventsMost   = 500
)

// A Service is one that is known, as `sonde inventory -o json` and the snapshot
// have it.
type Service struct {
	probes.Observation
	Watch        string    `json:"watch"`
	Zone         string    `json:"zone"`
	Status       string    `json:"status"`
	FirstSeen    time.Time `json:"first_seen,omitzero"`
	LastSeen     time.Time `json:"last_seen,omitzero"`
	LastVisited  time.Time `json:"last_visited,omitzero"`
	LastVerified time.Time `json:"last_verified,omitzero"`
}

// ServiceOf gives what is known of an endpoint.
func ServiceOf(e *inventory.Endpoint) *Service {
	s := &Service{e.Current, e.Watch, e.Key.Zone, string(e.Status), e.FirstSeen.UTC(), e.LastSeen.UTC(),
		e.LastVisited.UTC(), e.LastVerified.UTC()}
	s.Addr, s.Port, s.Transport = e.Key.Addr, e.Key.Port, e.Key.Transport
	return s
}

// Services are one page of the inventory.
type Services struct {
	Services []*Service `json:"services"`
	Next     int64      `json:"next,omitempty"` // where the next page begins; 0: there is none
}

// Told are one page of events.
type Told struct {
	Events []json.RawMessage `json:"events"` // as they were committed
	Next   int64             `json:"next"`   // the number of the last one
}

// The names of a filter's parts in a query. Times are in Unix seconds.
const (
	askWatch, askService, askProduct, askCPE = "watch", "service", "product", "cpe"
	askAddr, askPort, askTransport           = "addr", "port", "transport"
	askNew, askOld, askGone, askBrief        = "first_seen_from", "unseen_since", "gone", "brief"
	askAfter                                 = "after"
)

// The sizes of numbers in a query: a port, and a time before the year 2242, which
// the store can keep.
const (
	portBits = 17
	timeBits = 34
)

// ListQuery writes a filter, and where to begin, as a query.
func ListQuery(f *inventory.Filter, after int64) url.Values {
	q := url.Values{}
	set := func(key, value string) {
		if value != "" {
			q.Set(key, value)
		}
	}
	number := func(key string, n int64) {
		if n != 0 {
			q.Set(key, strconv.FormatInt(n, 10))
		}
	}
	set(askWatch, f.Watch)
	set(askService, f.Service)
	set(askProduct, f.Product)
	set(askCPE, f.CPE)
	set(askTransport, string(f.Transport))
	number(askPort, int64(f.Port))
	number(askAfter, after)
	if f.Addr.IsValid() {
		set(askAddr, f.Addr.String())
	}
	for key, t := range map[string]time.Time{askNew: f.FirstSeenFrom, askOld: f.UnseenSince} {
		if !t.IsZero() {
			number(key, t.Unix())
		}
	}
	for key, on := range map[string]bool{askGone: len(f.Status) == 0, askBrief: f.Brief} {
		if on {
			set(key, "1")
		}
	}
	return q
}

// filterOf reads what ListQuery writes.
func filterOf(q url.Values) (f inventory.Filter, after int64, err error) {
	f = inventory.Filter{Watch: q.Get(askWatch), Service: q.Get(askService), Product: q.Get(askProduct), CPE: q.Get(askCPE),
		Transport: probes.Transport(q.Get(askTransport)), Brief: q.Get(askBrief) != ""}
	if q.Get(askGone) == "" {
		f.Status = inventory.There()
	}
	number := func(key string, bits int) int64 {
		text := q.Get(key)
		if text == "" {
			return 0
		}
		n, bad := strconv.ParseInt(text, 10, bits)
		if bad != nil || n < 0 {
			err = fmt.Errorf("%s=%.40q is no number", key, text)
		}
		return n
	}
	f.Port, after = uint16(number(askPort, portBits)), number(askAfter, 64)
	for key, t := range map[string]*time.Time{askNew: &f.FirstSeenFrom, askOld: &f.UnseenSince} {
		if n := number(key, timeBits); n > 0 {
			*t = time.Unix(n, 0)
		}
	}
	if text := q.Get(askAddr); text != "" && err == nil {
		f.Addr, err = netip.ParseAddr(text)
	}
	for key := range q {
		switch key {
		case askWatch, askService, askProduct, askCPE, askAddr, askPort, askTransport, askNew, askOld, askGone, askBrief, askAfter:
		default:
			err = fmt.Errorf("%.40q is not known", key)
		}
	}
	return f, after, err
}

// list answers GET /v1/inventory.
func (s *Server) list(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, after, err := filterOf(r.URL.Query())
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "query: %v", err)
	}
	g, done, err := s.reading(r)
	if err != nil {
		return nil, err
	}
	defer done()
	list, next, err := g.Store.Page(r.Context(), f, after, servicesMost)
	if err != nil {
		return nil, err
	}
	page := &Services{Services: []*Service{}, Next: next}
	for i := range list {
		list[i].Current = *inventory.Shown(&list[i].Current)
		page.Services = append(page.Services, ServiceOf(&list[i]))
	}
	return page, nil
}

// events answers GET /v1/events?after=….
func (s *Server) events(_ http.ResponseWriter, r *http.Request) (any, error) {
	after, err := strconv.ParseInt(r.URL.Query().Get(askAfter), 10, 64)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "query: after is no number")
	}
	g, done, err := s.reading(r)
	if err != nil {
		return nil, err
	}
	defer done()
	rows, err := g.Store.Events(r.Context(), after, eventsMost)
	if err != nil {
		return nil, err
	}
	page := &Told{Events: []json.RawMessage{}, Next: after}
	for i := range rows {
		page.Events, page.Next = append(page.Events, rows[i].JSON), rows[i].Seq
	}
	return page, nil
}

// reading gives what the daemon works with, once it is a request's turn to read
// the store; done ends that.
func (s *Server) reading(r *http.Request) (g *Generation, done func(), err error) {
	if g = s.now.Load(); g == nil {
		return nil, nil, errBetween
	}
	done, err = s.read(r.Context())
	return g, done, err
}
