//go:build linux

package capturetest

import (
	"net/netip"
	"testing"
	"time"
)

func synTo(port uint16) []byte {
	p := tcpFrame{src: Sensor4.As4(), dst: [4]byte{198, 18, 1, 2}, sport: 40000, dport: port, seq: 7, flags: SYN}
	b := make([]byte, tcpFrameSize)
	return b[:p.put(b)]
}

func TestParseTCP(t *testing.T) {
	f := parseEthernet(synTo(443))
	if f.Src != Sensor4 || f.Dst != netip.MustParseAddr("198.18.1.2") || f.SrcPort != 40000 || f.DstPort != 443 ||
		f.Seq != 7 || f.Class() != ClassSYN || f.BadSum || f.Short || f.TTL != 64 || f.Payload != 0 {
		t.Errorf("%v: %+v", &f, f)
	}
}

// Each changed byte from the TTL on is seen by a checksum, and no cut crashes
// or goes unseen.
func TestParseSeesDamage(t *testing.T) {
	whole := synTo(443)
	for i := 22; i < len(whole); i++ {
		b := synTo(443)
		b[i] ^= 0x40
		if f := parseEthernet(b); !f.BadSum && f.Proto == ProtoTCP {
			t.Errorf("byte %d changed: %v has no wrong sum", i, &f)
		}
	}
	for n := range len(whole) {
		if f := parseEthernet(whole[:n]); !f.Short {
			t.Errorf("cut to %d bytes: not seen", n)
		}
	}
}

func TestClass(t *testing.T) {
	for _, tt := range []struct {
		f    Frame
		want Class
	}{
		{Frame{Ether: 0x0806}, ClassARP},
		{Frame{Proto: ProtoTCP, Flags: SYN}, ClassSYN},
		{Frame{Proto: ProtoTCP, Flags: SYN | ACK}, ClassTCP},
		{Frame{Proto: ProtoTCP, Flags: RST | ACK}, ClassRST},
		{Frame{Proto: ProtoUDP}, ClassUDP},
		{Frame{Proto: ProtoICMP, Type: 8}, ClassEcho},
		{Frame{Proto: ProtoICMP, Type: 3}, ClassError},
		{Frame{Proto: ProtoICMP, Type: 0}, ClassUnknown},
		{Frame{Proto: ProtoICMPv6, Type: 1}, ClassError},
		{Frame{Proto: ProtoICMPv6, Type: 128}, ClassEcho},
		{Frame{Proto: ProtoICMPv6, Type: 135}, ClassND},
		{Frame{Proto: ProtoICMPv6, Type: 143}, ClassGroups},
		{Frame{Proto: 132}, ClassUnknown},
	} {
		if got := tt.f.Class(); got != tt.want {
			t.Errorf("%v: want %s", &tt.f, tt.want)
		}
	}
}

func TestBusiest(t *testing.T) {
	var frames []Frame
	for _, ms := range []int{0, 10, 99, 100, 105, 500} {
		frames = append(frames, Frame{At: time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond)})
	}
	if got := Busiest(frames, 100*time.Millisecond); got != 4 { // 10, 99, 100, 105
		t.Errorf("%d frames in the busiest 100 ms, want 4", got)
	}
	if got := Busiest(nil, time.Second); got != 0 {
		t.Errorf("%d frames of none", got)
	}
}

func TestOpenShare(t *testing.T) {
	r := Responder{Prefix: Targets4, OpenPerMille: 3}
	n := 0
	for a := r.Prefix.Addr(); r.Prefix.Contains(a); a = a.Next() {
		if r.Open(a, 443) {
			n++
		}
	}
	if n < 150 || n > 250 {
		t.Errorf("%d of 65,536 are open, want about 197", n)
	}
}

func TestAnswerIP(t *testing.T) {
	r := Responder{Prefix: Targets4, OpenPerMille: 1000}
	f := parseIP(r.AnswerIP(synTo(80)[14:]))
	if f.BadSum || f.Short || f.Flags != SYN|ACK || f.Ack != 8 || f.Dst != Sensor4 || f.DstPort != 40000 {
		t.Errorf("%+v", f)
	}
	r.OpenPerMille = 0
	if f := parseIP(r.AnswerIP(synTo(80)[14:])); f.Flags != RST|ACK {
		t.Errorf("closed: %+v", f)
	}
	if got := r.AnswerIP(make([]byte, 20)); got != nil {
		t.Errorf("nonsense is answered: %x", got)
	}
}
