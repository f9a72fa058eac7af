package emit

import (
	"encoding/json"
	"fmt"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// A Format is how an event is written for a receiver.
type Format string

// The formats.
const (
	Sonde Format = "sonde" // the event object, or structured data of syslog
	ECS   Format = "ecs"   // Elastic Common Schema, a JSON object
	CEF   Format = "cef"   // Common Event Format, one line
)

// maxLine is the longest line of a file: an event has 16 KiB at most, of which
// a document of the Elastic Common Schema says names and certificates twice.
const maxLine = 48 << 10

// AppendLine appends the event on one line, without its end.
func AppendLine(dst []byte, f Format, r *Record) []byte {
	switch f {
	case ECS:
		return appendECS(dst, r, maxLine)
	case CEF:
		return appendCEF(dst, &r.Event, maxLine)
	default:
		return appendJSONLine(dst, r.JSON)
	}
}

// appendSonde appends the event object in at most most bytes. One too long is
// sent without its evidence, certificates and previous answer, and says so.
func appendSonde(dst []byte, r *Record, most int) []byte {
	start := len(dst)
	if dst = appendJSONLine(dst, r.JSON); len(dst)-start <= most {
		return dst
	}
	for _, short := range shorter(&r.Event) {
		line, err := encode(struct {
			*event.Event
			Shortened bool `json:"shortened"`
		}{short, true})
		if err != nil {
			break
		}
		if dst = appendJSONLine(dst[:start], line); len(dst)-start <= most {
			return dst
		}
	}
	e := &r.Event // what is left needs no room to speak of
	return fmt.Appendf(dst[:start], `{"schema":%q,"id":%q,"epoch":%d,"seq":%d,"@timestamp":%q,"action":%q,"shortened":true}`,
		event.Schema, clean(e.ID), e.Epoch, e.Seq, e.Timestamp.UTC().Format(time.RFC3339Nano), clean(string(e.Action)))
}

// shorter gives the event without its bulky parts, each one shorter than the
// one before.
func shorter(e *event.Event) []*event.Event {
	const message = 256 // bytes: the first sentence
	a := *e
	a.Evidence, a.Message = nil, cutUTF8(e.Message, 2*message)
	a.Endpoint, a.Previous = bare(e.Endpoint), bare(e.Previous)
	b := a
	b.Message = cutUTF8(e.Message, message)
	b.Previous, b.Services, b.Hosts, b.Counts = nil, nil, nil, nil
	if o := b.Endpoint; o != nil {
		b.Endpoint = &probes.Observation{Addr: o.Addr, Port: o.Port, Transport: o.Transport,
			Tunnel: o.Tunnel, Identity: o.Identity}
		b.Endpoint.Info, b.Endpoint.CPE = "", nil
	}
	c := b
	c.Endpoint = nil
	return []*event.Event{&a, &b, &c}
}

func bare(o *probes.Observation) *probes.Observation {
	if o == nil {
		return nil
	}
	b := *o
	b.Evidence, b.TLS, b.RPC, b.SSHHostKey, b.Fingerprint = nil, nil, nil, nil, ""
	return &b
}

// encode is json.Marshal that leaves "<" as it is: nobody puts a log into a
// page unescaped.
func encode(v any) ([]byte, error) {
	var b lineBuffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b[:len(b)-1], nil
}

// lineBuffer collects what an encoder writes.
type lineBuffer []byte

func (b *lineBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}
