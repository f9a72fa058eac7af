// Package probes holds the service-probe database and the vocabulary of a
// visit: an [Endpoint] goes in, an [Observation] comes out.
//
// A [Database] keeps every good line of its files and reports each bad one
// with its position. It never changes once loaded, so any number of
// goroutines may share it.
//
// Package sonde/probes/grammar reads and prints probe files; package
// sonde/probes/session speaks with one endpoint.
package probes
