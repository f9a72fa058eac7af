//go:build !linux

package route

import (
	"context"
	"iter"
	"log/slog"
	"net/netip"
)

// A Table is the kernel's view of the ways out of this machine. Here it cannot
// be had.
type Table struct{}

// Open gives ErrUnsupported.
func Open(*slog.Logger) (*Table, error) { return nil, ErrUnsupported }

// Close does nothing.
func (*Table) Close() error { return nil }

// Hop gives ErrUnsupported, as do all methods below.
func (*Table) Hop(netip.Addr, string) (Hop, error) { return Hop{}, ErrUnsupported }

// Reach yields ErrUnsupported.
func (*Table) Reach(p netip.Prefix, _ string) iter.Seq2[Span, error] {
	return func(yield func(Span, error) bool) { yield(Span{First: p.Masked().Addr()}, ErrUnsupported) }
}

// Interfaces gives ErrUnsupported.
func (*Table) Interfaces() ([]Interface, error) { return nil, ErrUnsupported }

// Addresses gives ErrUnsupported.
func (*Table) Addresses() ([]Address, error) { return nil, ErrUnsupported }

// Generation gives 0.
func (*Table) Generation() uint64 { return 0 }

// Watch gives a channel that nothing comes from.
func (*Table) Watch() (changes <-chan struct{}, stop func()) { return nil, func() {} }

// Neighbors gives ErrUnsupported.
func (*Table) Neighbors(int) ([]Neighbor, error) { return nil, ErrUnsupported }

// Neighbor gives ErrUnsupported.
func (*Table) Neighbor(int, netip.Addr) (Neighbor, error) { return Neighbor{}, ErrUnsupported }

// Await gives ErrUnsupported.
func (*Table) Await(context.Context, int, netip.Addr) (Neighbor, error) {
	return Neighbor{}, ErrUnsupported
}

// Neighborhood gives ErrUnsupported.
func (*Table) Neighborhood(bool) (Neighborhood, error) { return Neighborhood{}, ErrUnsupported }
