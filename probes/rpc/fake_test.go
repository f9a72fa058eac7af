package rpc

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"sonde/probes"
)

// A fakeServer answers calls as a server does.
type fakeServer struct {
	programs map[uint32][2]uint32 // the versions
	lists    map[uint32][]byte    // results of a dump, by version of the port mapper
	denied   bool                 // wants credentials
	generous bool                 // claims every program
}

// answer gives the reply to one call, as a message.
func (s *fakeServer) answer(msg []byte) []byte {
	if len(msg) < 40 || binary.BigEndian.Uint32(msg[4:]) != msgCall {
		panic(fmt.Sprintf("not a call: %x", msg))
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(msg[4*i:]) }
	xid, program, version, procedure := word(0), word(3), word(4), word(5)
	versions, ok := s.programs[program]
	switch {
	case s.denied:
		return words(xid, msgReply, msgDenied, 1, 5)
	case s.generous:
		return words(xid, msgReply, 0, 0, 0, 2, 1, 3)
	case !ok:
		return words(xid, msgReply, 0, 0, 0, 1)
	case version < versions[0] || version > versions[1]:
		return words(xid, msgReply, 0, 0, 0, 2, versions[0], versions[1])
	case procedure == procDump:
		return append(words(xid, msgReply, 0, 0, 0, 0), s.lists[version]...)
	}
	return words(xid, msgReply, 0, 0, 0, 0)
}

// unframe gives the messages of what was sent.
func unframe(transport probes.Transport, sent []byte) (msgs [][]byte) {
	if transport == probes.UDP {
		return [][]byte{sent}
	}
	var r Records
	err := r.Feed(sent, func(msg []byte) { msgs = append(msgs, append([]byte(nil), msg...)) })
	if err != nil || r.Partial() {
		panic(fmt.Sprintf("sent %x: %v", sent, err))
	}
	return msgs
}

func universal(a netip.AddrPort) string {
	return fmt.Sprintf("%s.%d.%d", a.Addr(), a.Port()>>8, a.Port()&255)
}
