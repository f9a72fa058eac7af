package inventory

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"sonde/probes"
)

// A Filter chooses endpoints; what is empty chooses all.
type Filter struct {
	Watch   string
	Service string
	Product string

	// One endpoint, in any zone; the zero Addr chooses all.
	Addr      netip.Addr
	Transport probes.Transport
	Port      uint16

	Status  []Status
	Retired bool // also those of removed watches

	// Brief leaves out Others and all evidence, to be quick with many.
	Brief bool
}

// Endpoints yields what is known, in the order in which it was found, and at
// last an error if reading fails midway.
func (r *Reader) Endpoints(ctx context.Context, f Filter) iter.Seq2[Endpoint, error] {
	return func(yield func(Endpoint, error) bool) {
		text, values := f.query(r.schema)
		rows, err := r.db.QueryContext(ctx, text, values...)
		if err == nil {
			defer rows.Close()
			err = collect(rows, func(found *row) bool { return yield(found.endpoint, nil) })
		}
		if err != nil {
			yield(Endpoint{}, fmt.Errorf("read endpoints: %w", err))
		}
	}
}

// query gives the question to a store of a schema that may be older than ours.
func (f *Filter) query(schema int) (text string, values []any) {
	columns, join := identityColumns, identityJoin
	if schema < hasFingerprints {
		columns, join = strings.Replace(columns, "f.text", "null", 1), join[:strings.LastIndex(join, "left join")]
	}
	if f.Brief {
		columns = `i.place, i.database, i.observation, null, null, null, null, null, null`
		join = `left join identities i on i.endpoint = e.id and i.place = 0`
	}
	text = `select ` + endpointColumns + `, ` + columns + ` from endpoints e ` + join + ` where true`
	and := func(condition string, value any) {
		text += ` and ` + condition
		values = append(values, value)
	}
	if f.Watch != "" {
		and(`e.watch = ?`, f.Watch)
	}
	if f.Service != "" {
		and(`e.service = ?`, f.Service)
	}
	if f.Product != "" {
		and(`e.product = ?`, f.Product)
	}
	if f.Addr.IsValid() {
		and(`e.addr = ?`, f.Addr.String())
	}
	if f.Transport != "" {
		and(`e.transport = ?`, string(f.Transport))
	}
	if f.Port != 0 {
		and(`e.port = ?`, f.Port)
	}
	if !f.Retired {
		text += ` and e.retired = 0`
	}
	for i, s := range f.Status {
		if i == 0 {
			text += ` and e.status in (?`
		} else {
			text += `, ?`
		}
		values = append(values, string(s))
		if i == len(f.Status)-1 {
			text += `)`
		}
	}
	return text + ` order by e.id, i.place`, values
}
