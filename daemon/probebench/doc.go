// Package probebench holds what the conversation engine promises against real
// servers, real kernels and peers that mean harm: it has no code of its own,
// only tests.
//
// With the build tag integration they prove: the same answer every time, no
// ban by those who defend themselves, an end to everything hostile. With the
// tag bench they measure, beside the reference scanner in the same run; the
// last line of `make bench-probe` sums it up.
//
// All goes through the borders of the product: the program itself, or one
// Visit of an endpoint. Packets go to loopback, into namespaces that a test
// made, and into the lab of real servers, which has no way out.
//
// # Environment
//
//   - SONDE_SHARED: the directory of the lab and of the peer's database,
//     by default beside the module.
//   - SONDE_BIN: the program, by default bin/sonde.
//   - SONDE_NMAP_XML: an earlier result of the reference scanner to compare
//     with, instead of some minutes of a new one.
//   - SONDE_STEADY_RUNS, SONDE_UNSTEADY_RUNS, SONDE_BAN_VISITS: how often the
//     lab is scanned or visited.
package probebench
