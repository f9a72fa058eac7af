// Package simulation holds the sensor and the inventory together to what they
// promise of changes: in weeks of a simulated network, with the noise that sites
// have, each true change is told once and nothing else is. It has only tests.
package simulation
