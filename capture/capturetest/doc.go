// Package capturetest makes the ground on which raw packets are tested: every
// packet that its helpers cause stays in network namespaces which a test made
// and which end with it.
//
// The namespaces carry the pid of the test in their names, have addresses of
// 198.18.0.0/15 and 2001:db8::/32 only, and no route out. In them lie
// topologies ([NewPair], [NewRouted], [NewTrunk], [NewTun]), hosts that answer
// for whole prefixes with the kernel's own stack ([Serve]) or faster than it
// ([Responder]), loss ([Lose]), floods ([Flood]) and a capture of every frame
// ([Record]).
//
// It shares no code with the packages that it tests: an instrument that had
// their mistakes would not see them.
//
// All of it is Linux; elsewhere the package is empty. Helpers that take a
// [testing.TB] fail or skip its test; the others give errors, as they also run
// in processes of their own ([Main]).
package capturetest
