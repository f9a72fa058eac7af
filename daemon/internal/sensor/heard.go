package sensor

import (
	"time"

	"sonde/capture"
	"sonde/probes/session"
)

// heardFor is how long the answer that a sweep drew stands for one of now.
const heardFor = time.Minute

// heard gives the datagram that a sweep drew, nil if there is none.
func (d *debt) heard(now time.Time) *session.Heard {
	if d == nil || d.reply.Kind != capture.Answered || now.Sub(d.reply.At) > heardFor {
		return nil
	}
	return &session.Heard{Sent: d.reply.Sent, Answer: d.reply.Payload, At: d.reply.At}
}
