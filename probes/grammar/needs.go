package grammar

import (
	"fmt"
	"strings"
)

// Needs is a set of permissions, each of which a probe may ask for.
type Needs uint8

// The permissions.
const (
	// NeedCredentials: the probe guesses a credential, such as an SNMP
	// community.
	NeedCredentials Needs = 1 << iota
	// NeedHeld: the probe speaks to ports of printers, which print what they
	// do not understand.
	NeedHeld
	// NeedIndustrial: the probe asks industrial controllers, management
	// controllers or power supplies to identify themselves.
	NeedIndustrial
)

var needNames = []struct {
	need Needs
	name string
}{
	{NeedCredentials, "credentials"},
	{NeedHeld, "held"},
	{NeedIndustrial, "industrial"},
}

// Within tells whether allowed grants all of n.
func (n Needs) Within(allowed Needs) bool { return n&^allowed == 0 }

// String lists the permissions as they stand in a "# needs:" line.
func (n Needs) String() string {
	var parts []string
	for _, t := range needNames {
		if n&t.need != 0 {
			parts = append(parts, t.name)
		}
	}
	return strings.Join(parts, ", ")
}

// parseNeeds reads a list of permissions separated by commas or blanks.
func parseNeeds(s string) (Needs, error) {
	var n Needs
words:
	for _, word := range strings.FieldsFunc(s, isListSeparator) {
		for _, t := range needNames {
			if word == t.name {
				n |= t.need
				continue words
			}
		}
		return 0, fmt.Errorf("unknown need %q: want credentials, held or industrial", word)
	}
	if n == 0 {
		return 0, fmt.Errorf("needs nothing: want credentials, held or industrial")
	}
	return n, nil
}

func isListSeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' }
