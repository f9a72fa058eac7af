// Package match decides which rule of a service-probe database, if any,
// explains the answer of a server, and what that rule says about it.
//
// The result is the first rule in order whose pattern matches, exactly as if
// PCRE2 had tried one rule after the other over the bytes of the answer.
//
// A [List] and a [Set] are compiled once and never change, so any number of
// goroutines may share them. All memory of a search lives in a [Scratch],
// which belongs to one goroutine at a time.
//
// # Cost
//
// A search reads at most [MaxAnswer] bytes. Each rule may take
// [engine.MaxSteps], all together [MaxSearchSteps], which is some five
// milliseconds. A rule that reaches its limit is reported in
// [Result.Undecided], never taken as a miss. An index over the literals that
// rules require leaves about a dozen of the thousands of rules in a large
// list; recorded answers take some microseconds.
//
// DESIGN.md in this directory says how it works and why it cannot miss.
package match
