package enginetest

import (
	"io"
	"syscall"
	"time"
)

// virtualScripts is what virtual peers do after they accepted.
var virtualScripts = map[Behaviour]Peer{
	Drops:    func(*Remote) {},
	Silent:   func(r *Remote) { r.Stall(true) },
	Collects: func(*Remote) {},
	Refuses:  refuse,
	Greets: func(r *Remote) {
		r.Send(2*hop, []byte(Greeting))
		r.End(3*hop, io.EOF)
	},
	Quits: func(r *Remote) {
		r.Send(2*hop, []byte(Greeting))
		r.End(3*hop, io.EOF)
	},
	Resets: func(r *Remote) {
		r.Send(2*hop, []byte(Greeting))
		r.End(3*hop, syscall.ECONNRESET)
	},
	Echoes: func(r *Remote) {
		r.OnReceive(func(b []byte) { r.Send(hop, append([]byte(nil), b...)) })
	},
	EmptyAnswer: func(r *Remote) {
		r.OnReceive(func([]byte) { r.Send(hop, nil) })
	},
	OtherPort: func(r *Remote) {
		r.OnReceive(func(b []byte) {
			r.SendFrom(hop, otherPort(r.Dial().Remote), append([]byte(nil), b...))
		})
	},
	OtherHost: func(r *Remote) {
		r.OnReceive(func(b []byte) {
			r.SendFrom(hop, otherHost(r.Dial().Remote), []byte("not me"))
			r.Send(2*hop, append([]byte(nil), b...))
		})
	},
	Endless: func(r *Remote) {
		var more func()
		more = func() {
			if !r.Closed() {
				r.Send(0, make([]byte, 64<<10))
				r.After(100*time.Microsecond, more)
			}
		}
		r.After(2*hop, more)
	},
}
