// Package data carries the signature database that is built into the program:
// service-probe files in nmap's format, one for each family of protocols, and
// beside each the example answers that prove its lines.
package data

import (
	"embed"
	"io/fs"
)

//go:embed *.probes
var probeFiles embed.FS

//go:embed *.examples
var exampleFiles embed.FS

// Probes gives the probe files, all in the root: NAME.probes.
func Probes() fs.FS { return probeFiles }

// Examples gives the example files, all in the root: NAME.examples belongs to
// NAME.probes.
func Examples() fs.FS { return exampleFiles }
