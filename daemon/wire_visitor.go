package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"sonde/capture"
	"sonde/config"
	"sonde/daemon/internal/budget"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/fingerprint"
	"sonde/probes/session"
	"sonde/probes/visitor"
)

// A manner is how endpoints are visited: what is allowed, and what is asked
// beside the identity.
type manner struct {
	allow    session.Allow
	startTLS bool
	sshKey   bool
	rpc      string // "list", "grind" or "off"
	careful  bool   // the host is fragile
	via      string // interface of all connections; "": as the routes say
}

// What a visit to a fragile host does at most, whose stack may stop at what it
// does not expect: it listens, and sends what the port is there for, or what
// identified it before. A TLS hello, a request inside the tunnel, and one more
// where the first is not understood make three probes. Nothing is asked beside
// the identity. What the watch allows stays allowed, as somebody chose it.
const (
	carefulProbes      = 3
	carefulConnections = 1
	carefulIntensity   = 0 // no rarity is so low: only probes that list the port
)

// mannerOf gives the manner of a watch.
func mannerOf(w *config.Watch) manner {
	allow := session.Allow{Credentials: w.Credentials, Held: w.Held, Industrial: w.Industrial}
	return manner{allow: allow, startTLS: w.StartTLS, sshKey: w.SSHHostKey, rpc: w.RPC, via: w.Interface}
}

// visitors makes what visits endpoints: one visitor for each manner, all on the
// same loops and within one budget.
type visitors struct {
	loops    []engine.Loop
	budget   *budget.Limiter
	db       *probes.Database
	settings session.Settings // but for the manner
	identity probes.Identity
	log      *slog.Logger
	guard    func(via string) *capture.Guard // of the neighbour table by an interface; nil: none
	running  sync.WaitGroup                  // of what waits for it
	made     map[manner]*visitor.Visitor
	contacts func(visitor.Contact) // nil: nobody keeps them
}

func newVisitors(loops []engine.Loop, l *limits, lim *budget.Limiter, db *probes.Database,
	intensity int, id config.Identity, log *slog.Logger) *visitors {
	s := session.DefaultSettings()
	s.Intensity = intensity
	s.MaxProbes, s.MaxWait, s.MaxAnswer = l.maxProbes, l.maxWait, l.maxAnswer
	// As many as the budget keeps free for each visit.
	s.Connections = min(l.hostConnections, budget.VisitConnections)
	return &visitors{loops: loops, budget: lim, db: db, settings: s, identity: probes.Identity(id),
		log: log, made: map[manner]*visitor.Visitor{}}
}

// of gives the visitor with a manner.
func (v *visitors) of(how manner) (*visitor.Visitor, error) {
	if made := v.made[how]; made != nil {
		return made, nil
	}
	p, err := session.New(session.Config{Database: v.db, Settings: v.settingsOf(how), Identity: v.identity})
	if err != nil {
		return nil, fmt.Errorf("prober: %w", err)
	}
	var budget visitor.Budget = v.budget
	if v.guard != nil {
		if guard := v.guard(how.via); guard != nil {
			budget = neighborBudget{v.budget, guard, &v.running}
		}
	}
	made, err := visitor.New(visitor.Config{Loops: v.loops, Prober: p, Budget: budget, Log: v.log,
		Interface: how.via, Contacts: v.contacts})
	if err != nil {
		return nil, err
	}
	v.made[how] = made
	return made, nil
}

func (v *visitors) settingsOf(how manner) session.Settings {
	s := v.settings
	s.Allow, s.StartTLS, s.Names = how.allow, how.startTLS, true
	s.SSHKey = how.sshKey
	s.RPC, s.Grind = how.rpc != "off", how.rpc == "grind"
	if how.careful {
		s.Intensity, s.Connections = carefulIntensity, carefulConnections
		s.MaxProbes, s.UDPRetries = min(s.MaxProbes, carefulProbes), 0
		s.StartTLS, s.SSHKey, s.Names, s.RPC, s.Grind = false, false, false, false, false
	}
	return s
}

// fingerprintSettings signs the fingerprints of unknown services.
func fingerprintSettings(intensity int) fingerprint.Settings {
	return fingerprint.Settings{Version: "Sonde-" + version, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Intensity: intensity}
}

// close ends all visits and waits until nothing of them is left.
func (v *visitors) close() {
	for _, made := range v.made {
		made.Close()
	}
	v.running.Wait()
}

// gcPercent is how much garbage may lie beside what is in use, in percent of
// it. 10,000 conversations at once hold 65 MiB, and when all of them end
// together a sensor takes 155 MiB with 50, and 140 with this. It computes little
// beside what it waits for, so that collecting more often is a small price.
const gcPercent = 40

// saveMemory sets that, unless GOGC in the environment says otherwise.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
