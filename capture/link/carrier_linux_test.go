package link

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// about makes the head of a message about an interface.
func about(kind uint16, family byte, index, flags uint32) []byte {
	b := make([]byte, sizeofLinkMs+12) // with an attribute that is not read
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[nlType:], kind)
	b[nlFamily] = family
	binary.NativeEndian.PutUint32(b[nlIndex:], index)
	binary.NativeEndian.PutUint32(b[nlFlags:], flags)
	return b
}

func TestCarrierTake(t *testing.T) {
	const up, cut = unix.IFF_UP | unix.IFF_LOWER_UP, unix.IFF_UP
	concat := func(list ...[]byte) (all []byte) {
		for _, b := range list {
			all = append(all, b...)
		}
		return all
	}
	for _, c := range []struct {
		name     string
		was      bool
		messages []byte
		want     error // nil: nothing was lost
		lost     bool  // afterwards
	}{
		{"nothing new", false, about(unix.RTM_NEWLINK, 0, 7, up), nil, false},
		{"carrier lost", false, about(unix.RTM_NEWLINK, 0, 7, cut), errNoCarrier, true},
		{"set down", false, about(unix.RTM_NEWLINK, 0, 7, 0), ErrDown, true},
		{"removed", false, about(unix.RTM_DELLINK, 0, 7, up), errNoCarrier, true},
		{"lost already", true, about(unix.RTM_NEWLINK, 0, 7, 0), nil, true},
		{"back", true, about(unix.RTM_NEWLINK, 0, 7, up), nil, false},
		{"lost and back", false, concat(about(unix.RTM_NEWLINK, 0, 7, cut), about(unix.RTM_NEWLINK, 0, 7, up)), errNoCarrier, false},
		{"another one", false, about(unix.RTM_NEWLINK, 0, 8, cut), nil, false},
		{"a bridge about its port", false, about(unix.RTM_DELLINK, unix.AF_BRIDGE, 7, cut), nil, false},
		{"cut off", false, about(unix.RTM_NEWLINK, 0, 7, cut)[:sizeofLinkMs-1], nil, false},
		{"behind what is too short", false, concat(make([]byte, 40), about(unix.RTM_NEWLINK, 0, 7, cut)), nil, false},
	} {
		k := &carrier{fd: -1, index: 7, lost: c.was}
		if got := k.take(c.messages); !errors.Is(got, c.want) || k.lost != c.lost {
			t.Errorf("%s: %v and lost %t, want %v and %t", c.name, got, k.lost, c.want, c.lost)
		}
	}
}

func FuzzCarrierTake(f *testing.F) {
	f.Add(about(unix.RTM_NEWLINK, 0, 7, unix.IFF_UP))
	f.Add(about(unix.RTM_DELLINK, unix.AF_BRIDGE, 7, 0)[:17])
	f.Fuzz(func(t *testing.T, b []byte) {
		k := &carrier{fd: -1, index: 7}
		if err := k.take(b); err != nil && !errors.Is(err, ErrDown) {
			t.Error(err)
		}
	})
}
