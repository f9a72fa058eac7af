package rpc

import (
	_ "embed" // the table
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed programs.txt
var programs string

// A Table knows the names of program numbers.
type Table struct {
	names   map[uint32]string
	numbers map[string]uint32
}

// Names gives the built-in table: the named numbers of the IANA registry "RPC
// Program Numbers", and a few others that servers use.
var Names = sync.OnceValue(func() *Table {
	t, err := ParseTable(programs)
	if err != nil {
		panic("rpc: the embedded table: " + err.Error()) // a test reads it
	}
	return t
})

// ParseTable reads lines of "number name [alias...]". "#" begins a comment. A
// number stands once; of a name that several numbers have, the first counts.
func ParseTable(text string) (*Table, error) {
	t := &Table{names: map[uint32]string{}, numbers: map[string]uint32{}}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		n, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil || len(f) < 2 {
			return nil, fmt.Errorf("line %d: want a number and a name", i+1)
		}
		if _, again := t.names[uint32(n)]; again {
			return nil, fmt.Errorf("line %d: number %d stands twice", i+1, n)
		}
		t.names[uint32(n)] = f[1]
		for _, name := range f[1:] {
			if _, have := t.numbers[name]; !have {
				t.numbers[name] = uint32(n)
			}
		}
	}
	return t, nil
}

// Len is how many numbers have a name.
func (t *Table) Len() int { return len(t.names) }

// Name gives the name of a number, or "".
func (t *Table) Name(number uint32) string { return t.names[number] }

// Number gives the number of a name or alias.
func (t *Table) Number(name string) (number uint32, ok bool) {
	number, ok = t.numbers[name]
	return number, ok
}

// common are the programs that are met most, in the order of a guess at how
// often: NFS and its company, NIS, Sun's daemons with a history, and what
// instruments, storage and backup bring along.
var common = []string{
	"nfs", "mountd", "nlockmgr", "status", "portmapper", "nfs_acl", "rquotad", "gluster-handshake",
	"ypserv", "ypbind", "yppasswdd", "ypxfrd", "rstatd", "rusersd", "walld", "sprayd",
	"ttdbserverd", "cmsd", "sadmind", "keyserv", "bootparam", "nisd", "amd", "pcnfsd",
	"sgi_fam", "nsrexecd", "vxi11-core", "kcs_network_io", "dmi2_client", "metad", "nsm_addr",
	"autofs", "glusterfs-fop", "glusterd-mgmt", "gluster-portmap", "fedfs_admin",
}

// Numbers gives every number of the table, the most common programs first and
// then in rising order: the order in which a [Grind] should ask.
func (t *Table) Numbers() []uint32 {
	list := make([]uint32, 0, len(t.names))
	for _, name := range common {
		if n, ok := t.numbers[name]; ok {
			list = append(list, n)
		}
	}
	first := len(list)
	for n := range t.names {
		if !slices.Contains(list[:first], n) {
			list = append(list, n)
		}
	}
	slices.Sort(list[first:])
	return list
}
