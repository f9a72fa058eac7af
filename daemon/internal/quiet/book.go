// Package quiet keeps what operators order to be left alone: watches that are
// paused, targets whose events are silenced, hosts that were released. An order
// holds over restarts, until it is taken back or its time is over.
//
// A [Book] may be used from any number of goroutines. Reading it takes no lock,
// so that the store may ask while it writes.
package quiet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sonde/daemon/internal/event"
)

// MaxOrders bounds the orders, so that they stay a matter of some 100 KiB.
const MaxOrders = 1000

// maxReason bounds what an operator writes.
const maxReason = 200

// Kind is what an order is about.
type Kind string

// The kinds of orders.
const (
	Pause   Kind = "pause"   // a watch sends nothing
	Silence Kind = "silence" // events go to the event file alone
	Release Kind = "release" // a host is asked again after distress
)

// An Order is one thing that an operator told.
type Order struct {
	Kind   Kind      `json:"kind"`
	Target string    `json:"target"` // a watch; for Silence see ParseTarget; for Release "zone/addr"
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is taken back
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"` // who gave it, as the system knows them: "uid 1000"
}

func (o *Order) over(now time.Time) bool { return !o.Until.IsZero() && !now.Before(o.Until) }

// ErrNone says that there is no such order to take back.
var ErrNone = errors.New("no such order")

// A Keeper stores the orders.
type Keeper interface {
	Orders(ctx context.Context) (string, error)
	SetOrders(ctx context.Context, text string) error
}

// A Book is the orders that hold.
type Book struct {
	keeper Keeper
	now    func() time.Time

	writing sync.Mutex // held by who changes what follows
	state   atomic.Pointer[state]
}

// state is replaced, never written to.
type state struct {
	orders   []Order // by kind and target, one for each
	silences []silence
	windows  []Window
}

// Open reads the orders that were kept. Those that this version does not
// understand are left out.
func Open(ctx context.Context, k Keeper, now func() time.Time) (*Book, error) {
	b := &Book{keeper: k, now: now}
	text, err := k.Orders(ctx)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	var orders []Order
	if text != "" {
		if err := json.Unmarshal([]byte(text), &orders); err != nil {
			return nil, fmt.Errorf("read orders: %w", err)
		}
	}
	b.set(orders, nil)
	return b, nil
}

// set makes a new state.
func (b *Book) set(orders []Order, windows []Window) {
	s := &state{orders: orders, windows: windows}
	for _, o := range orders {
		if t, err := ParseTarget(o.Target); o.Kind == Silence && err == nil {
			s.silences = append(s.silences, silence{t, o})
		}
	}
	b.state.Store(s)
}

// Orders gives those that hold, by kind and target.
func (b *Book) Orders() []Order {
	now := b.now()
	return slices.DeleteFunc(slices.Clone(b.state.Load().orders), func(o Order) bool { return o.over(now) })
}

// Give adds an order, in place of one of the same kind for the same target. It
// holds once it is stored.
func (b *Book) Give(ctx context.Context, o Order) error {
	if err := o.check(); err != nil {
		return err
	}
	return b.change(ctx, func(all map[[2]string]Order) error {
		all[[2]string{string(o.Kind), o.Target}] = o
		if len(all) > MaxOrders {
			return fmt.Errorf("%d orders hold already; take some back", MaxOrders)
		}
		return nil
	})
}

func (o *Order) check() error {
	switch o.Kind {
	case Pause, Release:
		if o.Target == "" {
			return fmt.Errorf("%s needs a target", o.Kind)
		}
	case Silence:
		if _, err := ParseTarget(o.Target); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%q is no kind of order", o.Kind)
	}
	if len(o.Reason) > maxReason {
		return fmt.Errorf("the reason is longer than %d bytes", maxReason)
	}
	return nil
}

// Take takes an order back, or gives ErrNone.
func (b *Book) Take(ctx context.Context, k Kind, target string) error {
	return b.change(ctx, func(all map[[2]string]Order) error {
		id := [2]string{string(k), target}
		if _, ok := all[id]; !ok {
			return fmt.Errorf("%s %s: %w", k, target, ErrNone)
		}
		delete(all, id)
		return nil
	})
}

// change stores the orders as do leaves them, without those that are over.
func (b *Book) change(ctx context.Context, do func(map[[2]string]Order) error) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	all := map[[2]string]Order{}
	for _, o := range b.Orders() {
		all[[2]string{string(o.Kind), o.Target}] = o
	}
	if err := do(all); err != nil {
		return err
	}
	keys := slices.SortedFunc(maps.Keys(all), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })
	orders := make([]Order, len(keys))
	for i, k := range keys {
		orders[i] = all[k]
	}
	text, err := json.Marshal(orders)
	if err != nil {
		return fmt.Errorf("encode orders: %w", err)
	}
	if err := b.keeper.SetOrders(ctx, string(text)); err != nil {
		return fmt.Errorf("store orders: %w", err)
	}
	b.set(orders, b.state.Load().windows)
	return nil
}

// find gives an order that holds.
func (b *Book) find(k Kind, target string) (Order, bool) {
	for _, o := range b.state.Load().orders {
		if o.Kind == k && o.Target == target && !o.over(b.now()) {
			return o, true
		}
	}
	return Order{}, false
}

// Paused says whether a watch is, and why.
func (b *Book) Paused(watch string) (reason string, paused bool) {
	o, ok := b.find(Pause, watch)
	return o.Reason, ok
}

// PausedBy tells who paused a watch, "" if nobody did or that is not known.
func (b *Book) PausedBy(watch string) string {
	o, _ := b.find(Pause, watch)
	return o.By
}

// Release notes that a host may be asked again although it fell silent before
// now. It is kept for as long as that would matter.
func (b *Book) Release(ctx context.Context, h event.Host, keep time.Duration) error {
	now := b.now()
	return b.Give(ctx, Order{Kind: Release, Target: h.String(), Since: now, Until: now.Add(keep)})
}

// Released tells when a host was released last; zero: not lately.
func (b *Book) Released(h event.Host) time.Time {
	o, _ := b.find(Release, h.String())
	return o.Since
}
