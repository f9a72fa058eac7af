package emit

import (
	"fmt"
	"os"
	"strings"
	"time"

	"sonde/daemon/internal/event"
)

// headerMin is the length of the first line of a file, with its line end: log
// shippers tell files apart by their first 1,024 bytes.
const headerMin = 1100

// fileHeader is the first line of a file. It has no sequence number.
type fileHeader struct {
	Schema    string       `json:"schema"`
	Action    string       `json:"action"`
	Timestamp time.Time    `json:"@timestamp"`
	Sensor    event.Sensor `json:"sensor"`
	PID       int          `json:"pid"`
	Message   string       `json:"message"`
	Padding   string       `json:"padding"`
}

// ecsFileHeader is the same in the Elastic Common Schema.
type ecsFileHeader struct {
	Timestamp time.Time   `json:"@timestamp"`
	ECS       ecsVersion  `json:"ecs"`
	Message   string      `json:"message"`
	Event     ecsFileBorn `json:"event"`
	Observer  ecsObserver `json:"observer"`
	Sonde     fileHeader  `json:"sonde"`
}

type ecsFileBorn struct {
	Kind   string `json:"kind"`
	Action string `json:"action"`
	Module string `json:"module"`
}

// writeHeader writes the first line of a file: unlike that of any other file by
// its time, its process and its sensor.
func (s *JSONFile) writeHeader() error {
	h := fileHeader{Schema: event.Schema, Action: "file.header", Timestamp: s.cfg.Now().UTC(),
		Sensor: s.cfg.Sensor, PID: os.Getpid(), Message: "first line of an events file, unlike that of any other"}
	line, err := s.header(&h)
	if err != nil {
		return err
	}
	h.Padding = strings.Repeat("-", max(0, headerMin-len(line)-1))
	if line, err = s.header(&h); err != nil {
		return err
	}
	if _, err := s.write(append(line, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", s.cfg.Path, err)
	}
	return nil
}

func (s *JSONFile) header(h *fileHeader) ([]byte, error) {
	var v any = h
	if s.cfg.Format == ECS {
		v = ecsFileHeader{Timestamp: h.Timestamp, ECS: ecsVersion{ECSVersion}, Message: h.Message,
			Event:    ecsFileBorn{"event", h.Action, "sonde"},
			Observer: ecsObserverOf(&h.Sensor), Sonde: *h}
	}
	line, err := encode(v)
	if err != nil {
		return nil, fmt.Errorf("encode file header: %w", err)
	}
	return appendJSONLine(nil, line), nil
}
