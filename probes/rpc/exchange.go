package rpc

import (
	"fmt"

	"sonde/probes"
)

// Settings are what a conversation needs from outside.
type Settings struct {
	// Transport says how messages travel: probes.TCP as records of a stream,
	// probes.UDP as datagrams.
	Transport probes.Transport
	// XID is the first transaction id; the others follow it. It should be
	// random, so that a stranger cannot answer a datagram unseen.
	XID uint32
	// Names gives the programs their names; nil is the built-in table.
	Names *Table
}

func (s *Settings) names() *Table {
	if s.Names == nil {
		return Names()
	}
	return s.Names
}

// MaxStrays is how many messages that answer nothing are passed over before the
// conversation is given up. They are counted anew after each reply to a call:
// late repetitions are a few.
const MaxStrays = 64

// MaxReopens is how often a conversation goes on over a new connection after
// the server closed one.
const MaxReopens = 16

// An exchange is what a Lister and a Grind have in common: framing, and the
// calls that wait for a reply, which carry an index each. A call waits until a
// reply to any sending of it comes, however late.
type exchange struct {
	set     Settings
	records Records
	waiting map[int]bool
	strays  int
	reopens int
	over    bool
	reason  string
}

func (x *exchange) end(reason string) {
	if !x.over {
		x.over, x.reason = true, reason
		x.waiting = nil
	}
}

// call makes the bytes to send for the call with an index.
func (x *exchange) call(index int, program, version, procedure uint32) []byte {
	x.waiting[index] = true
	c := Call{XID: x.set.XID + uint32(index), Program: program, Version: version, Procedure: procedure}
	if x.set.Transport == probes.UDP {
		return AppendCall(nil, c)
	}
	return AppendRecord(nil, AppendCall(nil, c))
}

// receive hands each reply to a waiting call to digest, and passes over others.
// A message that is no reply counts as a stray too: over UDP anyone may send
// one.
func (x *exchange) receive(data []byte, digest func(index int, r Reply)) {
	message := func(msg []byte) {
		if x.over {
			return
		}
		r, err := ParseReply(msg)
		index := int(r.XID - x.set.XID)
		if err != nil || !x.waiting[index] {
			if x.strays++; x.strays > MaxStrays {
				x.end(fmt.Sprintf("more than %d messages that answer nothing", MaxStrays))
			}
			return
		}
		x.strays = 0
		delete(x.waiting, index)
		digest(index, r)
	}
	if x.over {
		return
	}
	if x.set.Transport == probes.UDP {
		message(data)
		return
	}
	if err := x.records.Feed(data, message); err != nil {
		x.end("not a stream of records: " + err.Error())
	}
}

// reopen begins a new connection.
func (x *exchange) reopen() {
	x.records = Records{}
	if x.reopens++; x.reopens > MaxReopens {
		x.end(fmt.Sprintf("closed more than %d connections", MaxReopens))
	}
}
