// Package match decides which rule of a service-probe database, if any,
// explains the answer of a server, and what that rule says about it.
//
// The result is the first rule in order whose pattern matches, exactly as if
// PCRE2 had tried one rule after the other over the bytes of the answer.
//
// A [List] and a [Set] are compiled once and never change, so any number of
// goroutines may share them. All memory of a search lives in a [Scratch],
// which belongs to one goroutine at a time.
package match
