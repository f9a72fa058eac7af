package tlsprobe

import "slices"

// An assembly puts a handshake message of DTLS together from its pieces, which
// may overlap and come in any order. The first to bring a byte decides it.
type assembly struct {
	kind   byte
	number uint16
	length int
	have   []span // what has come, in order and apart from each other
	data   []byte // of the messages that are looked into
}

// A span is the half-open range of bytes from..to.
type span struct{ from, to int }

const (
	// maxAssembly bounds a message: what holds the certificates has below 16
	// KiB where it fits into datagrams at all.
	maxAssembly = 64 << 10
	// maxSpans is how many pieces may lie apart: of 64 KiB in pieces of 1 KiB
	// each second one.
	maxSpans = 32
)

// newAssembly gives nil for a message that cannot come from a server or is too
// long.
func newAssembly(kind byte, number uint16, length int) *assembly {
	switch kind {
	case typeServerHello, typeCertificate, typeServerKeyExchange, typeCertificateRequest,
		typeServerHelloDone, typeCertificateStatus, typeSupplementalData:
		if length <= maxAssembly {
			return &assembly{kind: kind, number: number, length: length}
		}
	}
	return nil
}

// add takes a piece, which lies within the message.
func (a *assembly) add(offset int, b []byte) {
	end := offset + len(b)
	if len(b) == 0 {
		return
	}
	if a.kind == typeServerHello || a.kind == typeCertificate {
		if len(a.data) < end {
			a.data = append(a.data, make([]byte, end-len(a.data))...)
		}
		at := offset
		for _, s := range a.have {
			if at < s.from {
				copy(a.data[at:min(end, s.from)], b[at-offset:])
			}
			if at = max(at, s.to); at >= end {
				break
			}
		}
		if at < end {
			copy(a.data[at:end], b[at-offset:])
		}
	}
	a.mark(span{offset, end})
}

// mark adds a range to those that have come, joined with what it touches.
func (a *assembly) mark(new span) {
	apart := a.have[:0:0]
	for _, s := range a.have {
		if s.to < new.from || s.from > new.to {
			apart = append(apart, s)
			continue
		}
		new = span{min(s.from, new.from), max(s.to, new.to)}
	}
	if len(apart) == maxSpans {
		return // it has to come again
	}
	a.have = append(apart, new)
	slices.SortFunc(a.have, func(x, y span) int { return x.from - y.from })
}

func (a *assembly) complete() bool {
	return a.length == 0 || len(a.have) == 1 && a.have[0] == span{0, a.length}
}

// leaf gives the first certificate of a complete Certificate message.
func (a *assembly) leaf() []byte {
	var l leafReader
	l.feed(a.data)
	return l.leaf()
}
