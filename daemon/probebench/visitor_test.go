//go:build integration || lab || bench

package probebench

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/session"
	visitors "sonde/probes/visitor"
)

// A visitor is the border that is measured here. Begin is Visit for who has no
// goroutine to spare for each endpoint.
type visitor interface {
	Begin(ep probes.Endpoint, known session.Remembered, done func(probes.Observation)) (cancel func(error))
	Visit(ctx context.Context, ep probes.Endpoint, known session.Remembered) probes.Observation
}

// newVisitor makes the implementation under test as the program does; nothing
// else here names it. It asks whatever may be asked, but guesses no credential.
func newVisitor(db *probes.Database) (v visitor, stop func(), err error) {
	s := session.DefaultSettings()
	s.Allow = session.Allow{Held: true, Industrial: true, Credentials: true} // as allowAll
	p, err := session.New(session.Config{Database: db, Settings: s})
	if err != nil {
		return nil, nil, err
	}
	e, err := engine.New(engine.Config{})
	if err != nil {
		return nil, nil, err
	}
	made, err := visitors.New(visitors.Config{Loops: e.Loops(), Prober: p})
	if err != nil {
		e.Close()
		return nil, nil, err
	}
	return made, func() {
		made.Close()
		e.Close()
	}, nil
}

// loadDatabase loads the built-in probe files, or the one at path.
func loadDatabase(path string) (*probes.Database, error) {
	if path == "" {
		own, err := probes.Builtin()
		if err != nil {
			return nil, err
		}
		return probes.Load(own...)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return probes.Load(probes.Source{Name: path, Data: data})
}

// A job is one endpoint to visit, and what is known of it.
type job struct {
	Addr      netip.Addr
	Port      uint16
	Transport probes.Transport
	Known     session.Remembered
}

// key is how an endpoint is told apart in results.
type key struct {
	Addr      netip.Addr
	Port      uint16
	Transport probes.Transport
}

func (j job) key() key { return key{j.Addr, j.Port, j.Transport} }

func (k key) String() string {
	return netip.AddrPortFrom(k.Addr, k.Port).String() + "/" + string(k.Transport)
}

// maxMisses in a row end the visits to an endpoint: it will not come back, and
// each takes as long as a visit may.
const maxMisses = 3

// visitSpec says what the role visit does.
type visitSpec struct {
	Jobs     []job
	Rounds   int // visits to each; the next remembers the one before if it was hard or soft
	Parallel int
	PerHost  int // at once to one address
}

// visited is one visit, with what of it has no JSON form. Micros is its time as
// seen by the caller.
type visited struct {
	probes.Observation
	Errors   []string `json:"errors,omitempty"`
	Goodbyes int      `json:"goodbyes,omitempty"`
	Micros   int64    `json:"us"`
	TLSOffer int      // Observation.Offer, which has no form in JSON
}

// recall gives what the next visit should remember of it.
func (v *visited) recall() session.Remembered {
	o := v.Observation
	o.Offer = v.TLSOffer
	return session.Recall(&o)
}

func (v *visited) key() key { return key{v.Addr, v.Port, v.Transport} }

type visitResult struct {
	Visits  [][]visited // of each job, by round
	PeakKiB int
}

// visitRole visits, as the daemon would, and tells all that it was told.
func visitRole(ctx context.Context, spec []byte, ready func(any)) (any, error) {
	var s visitSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, err
	}
	db, err := loadDatabase("")
	if err != nil {
		return nil, err
	}
	v, stop, err := newVisitor(db)
	if err != nil {
		return nil, err
	}
	defer stop()
	ready(struct{}{})
	result := visitResult{Visits: make([][]visited, len(s.Jobs))}
	slots := make(chan struct{}, max(1, s.Parallel))
	hosts := map[netip.Addr]chan struct{}{}
	for _, j := range s.Jobs {
		if hosts[j.Addr] == nil {
			hosts[j.Addr] = make(chan struct{}, max(1, s.PerHost))
		}
	}
	var all sync.WaitGroup
	for i, j := range s.Jobs {
		all.Go(func() {
			known := j.Known
			misses := 0
			for range max(1, s.Rounds) {
				if misses == maxMisses {
					break
				}
				hosts[j.Addr] <- struct{}{}
				slots <- struct{}{}
				o := visitOnce(ctx, v, j, known)
				<-slots
				<-hosts[j.Addr]
				misses++
				if o.Strength == probes.Hard || o.Strength == probes.Soft {
					known = session.Recall(&o.Observation)
					misses = 0
				}
				if s.Rounds > 2 {
					o.Evidence = nil // thousands of them
				}
				result.Visits[i] = append(result.Visits[i], o)
			}
		})
	}
	all.Wait()
	_, result.PeakKiB = memory()
	return result, nil
}

func visitOnce(ctx context.Context, v visitor, j job, known session.Remembered) visited {
	start := time.Now()
	o := v.Visit(ctx, probes.Endpoint{Addr: j.Addr, Port: j.Port, Transport: j.Transport}, known)
	return visited{Observation: o, Errors: o.Errors, Goodbyes: o.Goodbyes, TLSOffer: o.Offer, Micros: time.Since(start).Microseconds()}
}

// identity is what no network may change of a service.
type identity struct {
	Service, Product, Version, OS, Device, CPE string
	Tunnel                                     probes.Tunnel
	Strength                                   probes.Strength
}

func identityOf(o *probes.Observation) identity {
	return identity{o.Service, o.Product, o.Version, o.OS, o.Device,
		strings.Join(o.CPE, " "), o.Tunnel, o.Strength}
}

// believed tells whether an observation says what a service is: only then can
// it say something wrong.
func believed(o *probes.Observation) bool {
	return o.Outcome == probes.OutcomeAnswered && o.Strength == probes.Hard
}
