package emit

import (
	"fmt"
	"time"

	"sonde/daemon/internal/event"
)

// ECSVersion is the version of the Elastic Common Schema that documents follow.
const ECSVersion = "8.11.0"

// appendECS appends the event as a document of the Elastic Common Schema in at
// most most bytes. What the schema has no name for stands below "sonde", under
// the names of the event object; what one of its fields says already is not
// said twice. A document too long loses its evidence and previous answer, and
// says so.
func appendECS(dst []byte, r *Record, most int) []byte {
	start := len(dst)
	for i, e := range append([]*event.Event{&r.Event}, shorter(&r.Event)...) {
		line, err := encode(ecsOf(e, i > 0))
		if err != nil {
			break
		}
		if dst = appendJSONLine(dst[:start], line); len(dst)-start <= most {
			return dst
		}
	}
	e := &r.Event // what is left needs no room to speak of
	return fmt.Appendf(dst[:start], `{"@timestamp":%q,"ecs":{"version":%q},"event":{"id":%q,"sequence":%d,"action":%q},`+
		`"labels":{"shortened":"true"},"sonde":{"epoch":%d,"seq":%d}}`,
		e.Timestamp.UTC().Format(time.RFC3339Nano), ECSVersion, clean(e.ID), e.Seq, clean(string(e.Action)), e.Epoch, e.Seq)
}

// The types below are the fields of the schema that are used; their names are
// its own.
type (
	ecsDocument struct {
		Timestamp time.Time    `json:"@timestamp"`
		ECS       ecsVersion   `json:"ecs"`
		Message   string       `json:"message"`
		Event     ecsEvent     `json:"event"`
		Log       ecsLog       `json:"log"`
		Observer  ecsObserver  `json:"observer"`
		Server    *ecsServer   `json:"server,omitempty"`
		Network   *ecsNetwork  `json:"network,omitempty"`
		TLS       *ecsTLS      `json:"tls,omitempty"`
		Related   *ecsRelated  `json:"related,omitempty"`
		Sonde     *ecsOurs     `json:"sonde"`
		Labels    *ecsShortens `json:"labels,omitempty"`
	}
	ecsVersion struct {
		Version string `json:"version"`
	}
	ecsEvent struct {
		ID       string   `json:"id"`
		Sequence int64    `json:"sequence"`
		Kind     string   `json:"kind"`
		Category []string `json:"category"`
		Type     []string `json:"type"`
		Action   string   `json:"action"`
		Severity int      `json:"severity"`
		Reason   string   `json:"reason,omitempty"`
		Module   string   `json:"module"`
		Dataset  string   `json:"dataset"`
	}
	ecsLog struct {
		Level string `json:"level"`
	}
	ecsObserver struct {
		Name         string `json:"name"`
		SerialNumber string `json:"serial_number"` // the sensor's UUID
		Version      string `json:"version"`
		Vendor       string `json:"vendor"`
		Product      string `json:"product"`
		Type         string `json:"type"`
	}
	ecsServer struct {
		Address string `json:"address,omitempty"`
		IP      string `json:"ip,omitempty"`
		Port    int    `json:"port,omitempty"`
		Domain  string `json:"domain,omitempty"`
		MAC     string `json:"mac,omitempty"`
	}
	ecsNetwork struct {
		Transport string   `json:"transport,omitempty"`
		Type      string   `json:"type,omitempty"`
		Protocol  string   `json:"protocol,omitempty"`
		VLAN      *ecsVLAN `json:"vlan,omitempty"`
	}
	ecsVLAN struct {
		ID string `json:"id"`
	}
	ecsRelated struct {
		IP    []string `json:"ip,omitempty"`
		Hosts []string `json:"hosts,omitempty"`
	}
	ecsShortens struct {
		Shortened string `json:"shortened"`
	}
	// ecsOurs is the event without what stands elsewhere in the document: a
	// nil field hides the one of the event.
	ecsOurs struct {
		*event.Event
		Timestamp *time.Time    `json:"@timestamp,omitempty"`
		ID        *string       `json:"id,omitempty"`
		Sensor    *event.Sensor `json:"sensor,omitempty"`
		Severity  *string       `json:"severity,omitempty"`
		Action    *string       `json:"action,omitempty"`
		Message   *string       `json:"message,omitempty"`
		Reason    *string       `json:"reason,omitempty"`
		MAC       *string       `json:"mac,omitempty"`
		VLAN      *int          `json:"vlan,omitempty"`
		Counts    []ecsCount    `json:"counts,omitempty"`
	}
	// ecsCount is one of the counts. Their names are the watches', which must
	// not become names of fields: each would take room in the index for ever.
	ecsCount struct {
		Name  string `json:"name"`
		Value int    `json:"value"`
	}
)
