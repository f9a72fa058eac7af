//go:build !linux

package engine

// New makes the engine of this system, which is the portable one.
func New(cfg Config) (*Engine, error) { return NewNet(cfg, Net{}) }
