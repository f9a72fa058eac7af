package budget

import (
	"context"
	"fmt"
	"net/netip"
)

// await asks, and waits until the answer is yes or ctx ends.
func await(ctx context.Context, ask func(ready func()) (func(), bool)) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	granted := make(chan struct{})
	release, at := ask(func() { close(granted) })
	if at {
		return release, nil
	}
	select {
	case <-granted:
		return release, nil
	case <-ctx.Done():
		release()
		return nil, ctx.Err()
	}
}

// waitPace is Limiter.Pace for who can wait.
func waitPace(ctx context.Context, l *Limiter, to netip.AddrPort) error {
	_, err := await(ctx, func(ready func()) (func(), bool) { return l.Pace(to, ready) })
	if err != nil {
		return fmt.Errorf("connection to %s: %w", to, err)
	}
	return nil
}

// waitConnect is Limiter.Connect for who can wait.
func waitConnect(ctx context.Context, l *Limiter, a netip.Addr) (release func(), err error) {
	release, err = await(ctx, func(ready func()) (func(), bool) { return l.Connect(a, ready) })
	if err != nil {
		return nil, fmt.Errorf("connection to %s: %w", a, err)
	}
	return release, nil
}

// waitAdmit is Limiter.Admit for who can wait.
func waitAdmit(ctx context.Context, l *Limiter, a netip.Addr) (release func(), err error) {
	release, err = await(ctx, func(ready func()) (func(), bool) { return l.Admit(a, ready) })
	if err != nil {
		return nil, fmt.Errorf("visit to %s: %w", a, err)
	}
	return release, nil
}
