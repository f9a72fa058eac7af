package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"sonde/daemon/internal/sensor"
)

// A Refusal is an answer that is none, with the reason for people.
type Refusal struct {
	Code int
	Text string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// refuse makes a Refusal.
func refuse(code int, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// errBetween says that nothing can be asked for some moments.
var errBetween = &Refusal{http.StatusServiceUnavailable,
	"the sensor is starting or takes up another configuration; try again in a moment"}

// refusal is what the body of a Refusal holds.
type refusal struct {
	Error string `json:"error"`
}

// answer makes a handler of what answers with one JSON object, or an error.
func answer(do func(http.ResponseWriter, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, err := do(w, r)
		code := http.StatusOK
		if err != nil {
			code, a = codeOf(err), refusal{err.Error()}
		}
		writeJSON(w, code, a)
	}
}

// codeOf says whose an error is.
func codeOf(err error) int {
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return r.Code
	case errors.Is(err, sensor.ErrNotRunning):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

func writeJSON(w http.ResponseWriter, code int, a any) {
	text, err := json.Marshal(a)
	if err != nil {
		code, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // who has gone does not want to know
}

// onlyByAddress answers who asks for a loopback address or localhost alone: a
// web page whose name was pointed here asks for that name.
func onlyByAddress(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			writeJSON(w, http.StatusForbidden, refusal{"ask by the loopback address"})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isLoopback says whether the host of a request names this machine, with or
// without a port.
func isLoopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}
