// Package probes holds the service-probe database and the vocabulary of a
// visit: an [Endpoint] goes in, an [Observation] comes out.
//
// Package sonde/probes/grammar reads and prints probe files; package
// sonde/probes/session speaks with one endpoint.
package probes
