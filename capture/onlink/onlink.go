// Package onlink finds out who lives on the links of this machine.
package onlink
