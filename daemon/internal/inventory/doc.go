// Package inventory knows what was found where, and decides what of it is news.
//
// Nothing is told before it is believed: [Decide] is a pure function of what
// was known, one visit and the [Rules], so the same visits always give the
// same events. A [Store] applies visits in transactions that hold the new
// state, its history and the events together: after a crash either all of a
// batch is there or nothing of it. An event has its sequence number before
// anyone can read it, and keeps it.
//
// A Store may be used by any number of goroutines. One process at a time can
// open a state directory for writing; readers are never kept waiting by it.
//
// # Limits
//
// Every string that a scanned host chose is cut and freed of control
// characters before it is compared or stored; see the constants in limits.go.
// An event is at most [MaxEvent] bytes of JSON.
package inventory
