package inventory

import (
	"context"
	"fmt"
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
		err = collect(rows, func(found *row) bool {
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
