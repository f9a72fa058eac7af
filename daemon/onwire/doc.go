// Package onwire holds the program to its promises on links of its own: what it
// finds, what it sends and to whom, and what it tells when a link is lost. Its
// tests need root and make network namespaces that nothing leads out of.
package onwire
