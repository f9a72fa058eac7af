package inventory

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/probes"
)

// A Filter chooses endpoints; what is empty chooses all.
type Filter struct {
	Watch   string
	Service string
	Product string

	// CPE chooses what has this one, or one that goes on behind it:
	// "cpe:/a:openbsd" has all of that vendor.
	CPE string
	// FirstSeenFrom chooses what was seen first then or later, UnseenSince what
	// was seen last before that.
	FirstSeenFrom, UnseenSince time.Time

	// One address, transport or port, in any zone.
	Addr      netip.Addr
	Transport probes.Transport
	Port      uint16

	Status  []Status
	Retired bool // also those of removed watches

	// Brief leaves out Others, all evidence, and of what decisions go by all but
	// whether the identity is unstable, to be quick with many.
	Brief bool
}

// There are the statuses of what is there.
func There() []Status { return []Status{Candidate, Present} }

// fits looks at what query does not ask for.
func (f *Filter) fits(e *Endpoint) bool {
	return f.CPE == "" || slices.ContainsFunc(e.Current.CPE, func(c string) bool {
		rest, begins := strings.CutPrefix(c, f.CPE)
		return begins && (rest == "" || rest[0] == ':')
	})
}

// query gives the question to a store of a schema that may be older than ours,
// for endpoints that come after one.
func (f *Filter) query(schema int, after int64) (text string, values []any) {
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
	if after > 0 {
		and(`e.id > ?`, after)
	}
	if !f.FirstSeenFrom.IsZero() {
		and(`e.first_seen >= ?`, nanos(f.FirstSeenFrom))
	}
	if !f.UnseenSince.IsZero() {
		and(`e.last_seen < ?`, nanos(f.UnseenSince))
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
