package emit

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"sonde/daemon/internal/event"
)

// JournalSocket is where journald listens.
const JournalSocket = "/run/systemd/journal/socket"

// JournalName is the name of the sink's cursor.
const JournalName = "journal"

// Journal sends each event to systemd's journal, in its native protocol: a
// field each for what people filter by, and the whole event in SONDE_EVENT. It
// is best effort: what journald has taken it may drop by its own limits.
type Journal struct {
	steps
	path string
	conn journalConn // nil: not connected
}

// A journalConn is a socket to journald.
type journalConn interface {
	send(entry []byte) error
	close() error
}

// NewJournal returns a sink that sends to the socket at path. It connects at the
// first delivery.
func NewJournal(path string) *Journal { return &Journal{path: path} }

// Name implements Sink.
func (j *Journal) Name() string { return JournalName }

// Wants implements Sink.
func (j *Journal) Wants(e *event.Event) bool { return loud(e) }

// Resume implements Sink.
func (j *Journal) Resume(_, cursor int64) (int64, error) { return cursor, nil }

// Close implements Sink.
func (j *Journal) Close() error {
	if j.conn == nil {
		return nil
	}
	err := j.conn.close()
	j.conn = nil
	return err
}

// Deliver implements Sink.
func (j *Journal) Deliver(ctx context.Context, records []Record) (int, error) {
	for i := range records {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		j.step()
		if err := j.send(journalEntry(&records[i])); err != nil {
			return i, fmt.Errorf("send to journal %s: %w", j.path, err)
		}
	}
	return len(records), nil
}

// send tries twice: a journald that was restarted has a new socket.
func (j *Journal) send(entry []byte) error {
	var err error
	for range 2 {
		if j.conn == nil {
			if j.conn, err = dialJournal(j.path); err != nil {
				j.conn = nil
				return err
			}
		}
		if err = j.conn.send(entry); err == nil {
			return nil
		}
		_ = j.Close() // it failed already
	}
	return err
}

// journalEntry gives the event in the journal's native protocol. Values have no
// line ends, so that none can begin a field.
func journalEntry(r *Record) []byte {
	e := &r.Event
	var b []byte
	for _, f := range journalFields(e) {
		b = appendJournalField(b, f[0], clean(f[1]))
	}
	return appendJournalField(b, "SONDE_EVENT", string(appendJSONLine(nil, r.JSON)))
}

// appendJournalField appends a field in the form of the protocol that holds any
// bytes: name, line end, length, value, line end.
func appendJournalField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, name...)
	dst = append(dst, '\n')
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(value)))
	dst = append(dst, value...)
	return append(dst, '\n')
}

// journalFields lists the fields: those of systemd.journal-fields(7), and the
// structured data of syslog with SONDE_ before its names.
func journalFields(e *event.Event) [][2]string {
	fields := [][2]string{
		{"MESSAGE", e.Message},
		{"PRIORITY", strconv.Itoa(syslogLevel(e.Severity))},
		{"SYSLOG_IDENTIFIER", "sonde"},
	}
	for _, p := range append(pointer(e, ""), params(e)...) {
		fields = append(fields, [2]string{"SONDE_" + strings.ToUpper(p[0]), p[1]})
	}
	return fields
}
