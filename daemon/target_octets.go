package main

import (
	"net/netip"
	"strconv"
	"strings"

	"sonde/config"
)

// octetRanges reads an IPv4 address whose octets may be runs and lists, as in
// 192.168.1-3.1,5,20-30; - and * are all of 0 to 255. It gives false for what
// is no such text; whole addresses and runs of them are read elsewhere. The
// ranges are disjoint, at most 2^31.
func octetRanges(s string) (out []config.Range, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return nil, false
	}
	var octets [4][][2]byte
	for i, p := range parts {
		if octets[i], ok = octetList(p); !ok {
			return nil, false
		}
	}
	for a := range each(octets[0]) {
		for b := range each(octets[1]) {
			for c := range each(octets[2]) {
				for _, d := range octets[3] {
					out = append(out, config.Range{First: netip.AddrFrom4([4]byte{a, b, c, d[0]}),
						Last: netip.AddrFrom4([4]byte{a, b, c, d[1]})})
					if len(out) > mostOctetRanges {
						return nil, false
					}
				}
			}
		}
	}
	return out, true
}

// mostOctetRanges bounds what one text may stand for: a /8 by its /24s.
const mostOctetRanges = 1 << 16

// each gives every number of a list of runs.
func each(list [][2]byte) func(yield func(byte) bool) {
	return func(yield func(byte) bool) {
		for _, r := range list {
			for n := int(r[0]); n <= int(r[1]); n++ {
				if !yield(byte(n)) {
					return
				}
			}
		}
	}
}

// octetList reads one octet: numbers and runs, separated by commas.
func octetList(s string) (list [][2]byte, ok bool) {
	for item := range strings.SplitSeq(s, ",") {
		if item == "*" || item == "-" {
			item = "0-255"
		}
		first, last, isRun := strings.Cut(item, "-")
		if !isRun {
			last = first
		}
		lo, err1 := strconv.ParseUint(orDefault(first, "0"), 10, 8)
		hi, err2 := strconv.ParseUint(orDefault(last, "255"), 10, 8)
		if item == "" || err1 != nil || err2 != nil || lo > hi {
			return nil, false
		}
		list = append(list, [2]byte{byte(lo), byte(hi)})
	}
	return list, true
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
