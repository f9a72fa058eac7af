// Package simulation holds the sensor and the inventory together to what they
// promise of changes: in weeks of a simulated network, with the noise that sites
// have, each true change is told once and nothing else is. With the build tag lab the
// real daemon is held to it over the lab of real servers. It has only tests.
package simulation
