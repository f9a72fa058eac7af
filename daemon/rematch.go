package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"sonde/daemon/internal/inventory"
	"sonde/match"
	"sonde/probes"
	"sonde/probes/session"
)

// A rematcher holds stored answers against the database of this generation, and
// the engine of this program, once. It works beside the sensor and sends nothing.
type rematcher struct {
	d     *daemon
	after <-chan struct{} // reading the inventory twice at once would delay the start
}

// Name implements task.Task.
func (*rematcher) Name() string { return "rematch" }

// Run implements task.Task.
func (r *rematcher) Run(ctx context.Context, ready func()) error {
	ready()
	select {
	case <-r.after:
	case <-ctx.Done():
		return nil
	}
	log := r.d.log
	engine, err := programHash()
	if err != nil {
		log.Warn("stored answers are not matched again", "err", err)
		return nil
	}
	sc, db := match.NewScratch(), r.d.db
	done, err := r.d.store.Rematch(ctx, inventory.Matcher{Database: db.Hash, Engine: engine,
		Again: func(was *probes.Observation) (probes.Observation, bool) { return session.Again(sc, db, was) }})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Error("stored answers not all matched again, the next start goes on", "done", done.Endpoints, "err", err)
	case done.Endpoints > 0:
		log.Info("stored answers matched again", "endpoints", done.Endpoints, "told", done.Told, "unable", done.Unable)
	}
	return nil
}

// programHash is the SHA-256 of this program, in lower-case hex. It stands for
// the engine: no part of the matching can change without it. That it changes more
// often costs a look at what is stored, and tells nothing.
func programHash() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
