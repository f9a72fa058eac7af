package inventory

import (
	"context"
	"fmt"
	"iter"
)

// examinedMost is how many endpoints one Page looks at: reading so many takes
// some 0.5 s, in which the log of the store may not be emptied.
const examinedMost = 20_000

// Page gives endpoints that come after one of an earlier page, 0 for the first,
// at most most of them, and where the next page begins; 0: there is none. A page
// may be empty and not the last.
func (r *Reader) Page(ctx context.Context, f Filter, after int64, most int) (list []Endpoint, next int64, err error) {
	text, values := f.query(r.schema, after)
	rows, err := r.db.QueryContext(ctx, text, values...)
	if err == nil {
		defer rows.Close()
		examined := 0
		err = collect(rows, f.Brief, func(found *row) bool {
			if len(list) == most || examined == examinedMost {
				next = after // of the one before
				return false
			}
			examined++
			after = found.id
			if f.fits(&found.endpoint) {
				list = append(list, found.endpoint)
			}
			return true
		})
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read endpoints: %w", err)
	}
	return list, next, nil
}

// readAhead is how many endpoints Endpoints reads at once: some MiB.
const readAhead = 2000

// A page is what Page gives.
type page struct {
	list []Endpoint
	err  error
}

// Endpoints yields what is known, in the order in which it was found, and at
// last an error if reading fails midway. It reads page by page, so that the log
// of the store is emptied meanwhile, and the next one while one is yielded: what
// is yielded late is as it was late.
func (r *Reader) Endpoints(ctx context.Context, f Filter) iter.Seq2[Endpoint, error] {
	return func(yield func(Endpoint, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		pages := make(chan page)
		defer func() {
			cancel()
			for range pages { // until its reader is gone
			}
		}()
		go func() {
			defer close(pages)
			for after, more := int64(0), true; more; {
				var p page
				p.list, after, p.err = r.Page(ctx, f, after, readAhead)
				more = after > 0 && p.err == nil
				select {
				case pages <- p:
				case <-ctx.Done():
					return
				}
			}
		}()
		for p := range pages {
			for i := range p.list {
				if !yield(p.list[i], nil) {
					return
				}
			}
			if p.err != nil {
				yield(Endpoint{}, p.err)
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Endpoint{}, fmt.Errorf("read endpoints: %w", err))
		}
	}
}
