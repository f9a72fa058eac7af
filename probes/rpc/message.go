package rpc

import "fmt"

// The numbers of RFC 5531, section 9.
const (
	rpcVersion  = 2
	msgCall     = 0
	msgReply    = 1
	msgAccepted = 0
	msgDenied   = 1
)

// A Call is one call without arguments and without credentials.
type Call struct {
	XID       uint32 // chosen by the caller, repeated in the reply
	Program   uint32
	Version   uint32
	Procedure uint32 // 0, the null procedure, does nothing in every program
}

// AppendCall appends c as one message, which is a datagram of its own over
// UDP and needs [AppendRecord] over TCP. It has 40 bytes.
func AppendCall(dst []byte, c Call) []byte {
	return appendUint32(dst, c.XID, msgCall, rpcVersion, c.Program, c.Version, c.Procedure,
		0, 0, // credentials: AUTH_NONE, empty
		0, 0) // verifier: the same
}

// A Reply is a server's answer to one call.
type Reply struct {
	XID    uint32
	Status Status
	// Low and High are the versions that the server has of the program
	// (ProgramMismatch) or of RPC (VersionDenied).
	Low, High uint32
	// Auth is the reason of AuthDenied (RFC 5531, section 9).
	Auth uint32
	// Results follow Success. They point into the message.
	Results []byte
}

// ParseReply reads one message. An error says that it is no reply of ONC RPC
// version 2, or is cut short.
func ParseReply(msg []byte) (Reply, error) {
	d := decoder{rest: msg}
	r := Reply{XID: d.uint32()}
	if kind := d.uint32(); d.err == nil && kind != msgReply {
		return Reply{}, fmt.Errorf("parse reply: message of type %d", kind)
	}
	switch stat := d.uint32(); {
	case d.err != nil:
	case stat == msgAccepted:
		d.accepted(&r)
	case stat == msgDenied:
		d.denied(&r)
	default:
		d.fail(fmt.Errorf("reply status %d", stat))
	}
	if d.err != nil {
		return Reply{}, fmt.Errorf("parse reply: %w", d.err)
	}
	return r, nil
}

func (d *decoder) accepted(r *Reply) {
	d.uint32() // flavour of the verifier
	d.opaque(maxVerifier)
	stat := d.uint32()
	if stat > uint32(SystemError) {
		d.fail(fmt.Errorf("accept status %d", stat))
		return
	}
	r.Status = Status(stat)
	switch r.Status {
	case ProgramMismatch:
		r.Low, r.High = d.uint32(), d.uint32()
	case Success:
		r.Results = d.rest
	}
}

func (d *decoder) denied(r *Reply) {
	switch why := d.uint32(); why {
	case 0:
		r.Status, r.Low, r.High = VersionDenied, d.uint32(), d.uint32()
	case 1:
		r.Status, r.Auth = AuthDenied, d.uint32()
	default:
		d.fail(fmt.Errorf("reject status %d", why))
	}
}
