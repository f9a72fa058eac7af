package main

import (
	"fmt"
	"log/slog"

	"sonde/config"
	"sonde/daemon/internal/budget"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/session"
	"sonde/probes/visitor"
)

// visitors makes what visits endpoints: one visitor for each set of things that
// are allowed, all on the same loops and within one budget.
type visitors struct {
	loops    []engine.Loop
	budget   *budget.Limiter
	db       *probes.Database
	settings session.Settings // but for what is allowed
	identity probes.Identity
	log      *slog.Logger
	made     map[session.Allow]*visitor.Visitor
}

func newVisitors(loops []engine.Loop, l *limits, lim *budget.Limiter, db *probes.Database,
	intensity int, id config.Identity, log *slog.Logger) *visitors {
	s := session.DefaultSettings()
	s.Intensity = intensity
	s.MaxProbes, s.MaxWait, s.MaxAnswer = l.maxProbes, l.maxWait, l.maxAnswer
	// As many as the budget keeps free for each visit.
	s.Connections = min(l.hostConnections, budget.VisitConnections)
	return &visitors{loops: loops, budget: lim, db: db, settings: s, identity: probes.Identity(id),
		log: log, made: map[session.Allow]*visitor.Visitor{}}
}

// of gives the visitor that does what is allowed.
func (v *visitors) of(allow session.Allow) (*visitor.Visitor, error) {
	if made := v.made[allow]; made != nil {
		return made, nil
	}
	settings := v.settings
	settings.Allow = allow
	p, err := session.New(session.Config{Database: v.db, Settings: settings, Identity: v.identity})
	if err != nil {
		return nil, fmt.Errorf("prober: %w", err)
	}
	made, err := visitor.New(visitor.Config{Loops: v.loops, Prober: p, Budget: v.budget, Log: v.log})
	if err != nil {
		return nil, err
	}
	v.made[allow] = made
	return made, nil
}

// close ends all visits and waits until nothing of them is left.
func (v *visitors) close() {
	for _, made := range v.made {
		made.Close()
	}
}
