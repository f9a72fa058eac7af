// Package sweepbench holds what raw-socket discovery promises, against real
// kernels and beside other scanners: it has no code of its own, only tests.
//
// With the build tag integration they prove, on grounds of capturetest: every
// open port is found and none invented, over routers, links, VLANs and tunnels,
// through loss, firewalls, floods and changes of the network; budgets hold in
// every window; nothing is left behind; no packet leaves the scope. With the
// tag bench they measure, beside masscan, zmap and a bare loop of sendmmsg in
// the same run; the last line of `make bench-sweep` sums it up.
//
// All packets stay in namespaces that a test made.
//
// # Environment
//
//   - SONDE_SWEEP_ROUNDS: how often each rate is measured; the median counts.
//   - SONDE_SWEEP_PROFILE: a file for the CPU profile of our own sweep.
package sweepbench
