package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/quiet"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
)

// How long the daemon has for what it is told to do.
const (
	// verifyWithin is more than any visit takes, with some before it.
	verifyWithin = 2 * time.Minute
	// reloadWithin lets a large database be read.
	reloadWithin = time.Minute
	// longest is how long an order may hold that ends by itself.
	longest = 366 * 24 * time.Hour
)

// A Command is what the daemon is told to do, in the body of a POST.
type Command struct {
	Target  string  `json:"target,omitempty"` // an endpoint, a watch, a host or a target of silence; "" of pause and resume: all watches
	Zone    string  `json:"zone,omitempty"`
	Seconds float64 `json:"for_s,omitempty"` // that it holds; 0: until it is taken back
	Reason  string  `json:"reason,omitempty"`
	End     bool    `json:"end,omitempty"` // of a silence

	by string // who wants it
}

// A Done is what came of a command.
type Done struct {
	Text string `json:"done"`
}

// A Visited is what a visit saw.
type Visited struct {
	Endpoint string              `json:"endpoint"`
	Zone     string              `json:"zone"`
	Is       *probes.Observation `json:"is"`
}

// decodeCommand reads one JSON object, and nothing else.
func decodeCommand(r io.Reader) (Command, error) {
	var c Command
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, refuse(http.StatusBadRequest, "body: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, refuse(http.StatusBadRequest, "body: more than one JSON object")
	}
	if c.Seconds < 0 || c.Seconds > longest.Seconds() {
		return c, refuse(http.StatusBadRequest, "the time must be between 0 and %d days", longest/(24*time.Hour))
	}
	if strings.ContainsFunc(c.Target+c.Zone+c.Reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return c, refuse(http.StatusBadRequest, "control characters are in the order; leave them out")
	}
	return c, nil
}

// until is when an order of a command ends, zero for never.
func (c *Command) until(now time.Time) time.Time {
	if c.Seconds == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(c.Seconds * float64(time.Second)))
}

// actHandler obeys those who may act.
func (s *Server) actHandler() http.Handler {
	mux := http.NewServeMux()
	for name, do := range map[string]func(context.Context, *Generation, *Command) (any, error){
		"verify": s.verify, "pause": s.pause, "resume": s.resume, "silence": s.silence, "release": s.release,
	} {
		mux.HandleFunc("POST /v1/"+name, answer(s.obey(name, do)))
	}
	mux.HandleFunc("POST /v1/reload", answer(s.reload))
	return mux
}

// obey makes a handler of what obeys one command. What was done is logged with
// who wanted it.
func (s *Server) obey(name string, do func(context.Context, *Generation, *Command) (any, error)) func(http.ResponseWriter, *http.Request) (any, error) {
	return func(w http.ResponseWriter, r *http.Request) (any, error) {
		c, err := decodeCommand(r.Body)
		if err != nil {
			return nil, err
		}
		g := s.now.Load()
		if g == nil {
			return nil, errBetween
		}
		if c.by = r.RemoteAddr; c.by == unknownPeer {
			c.by = ""
		}
		mayTake(w, verifyWithin)
		a, err := do(r.Context(), g, &c)
		s.note(r, name, &c, err)
		s.forget()
		return a, refused(err)
	}
}

// mayTake gives a request more time than others have.
func mayTake(w http.ResponseWriter, d time.Duration) {
	c, until := http.NewResponseController(w), time.Now().Add(d)
	_, _ = c.SetReadDeadline(until), c.SetWriteDeadline(until) // else it is cut short, which whoever asks sees
}

// note logs what somebody wanted.
func (s *Server) note(r *http.Request, name string, c *Command, err error) {
	log := s.cfg.Log.With("command", name, "target", c.Target, "by", r.RemoteAddr)
	if c.Reason != "" {
		log = log.With("reason", c.Reason)
	}
	if err != nil {
		log.Info("an operator was refused", "err", err)
		return
	}
	if c.Seconds > 0 {
		log = log.With("for", time.Duration(c.Seconds*float64(time.Second)))
	}
	log.Info("an operator told the sensor what to do")
}

// refused gives the sensor's own refusals their codes.
func refused(err error) error {
	for of, code := range map[error]int{
		sensor.ErrOutOfScope: http.StatusForbidden, sensor.ErrTooMany: http.StatusTooManyRequests,
		sensor.ErrShut: http.StatusConflict, sensor.ErrResting: http.StatusConflict,
		sensor.ErrNotResting: http.StatusConflict, quiet.ErrNone: http.StatusConflict,
	} {
		if errors.Is(err, of) {
			return &Refusal{code, err.Error()}
		}
	}
	return err
}

// verify visits an endpoint now. What no watch asks, or any exclude names, is
// not touched: the sensor looks once more, and so does what opens sockets.
func (s *Server) verify(ctx context.Context, g *Generation, c *Command) (any, error) {
	k, err := ParseEndpoint(c.Target)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	askers, why := g.Asks(k.Transport, k.Addr, k.Port)
	if len(askers) == 0 {
		return nil, refuse(http.StatusForbidden, "%s is not asked: %s", FormatEndpoint(k), why)
	}
	if k.Zone, err = zoneOf(c.Zone, nil, askers); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, verifyWithin)
	defer cancel()
	o, err := g.Sensor.Verify(ctx, k)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, refuse(http.StatusGatewayTimeout, "no answer within %s; 'sonde explain %s' tells later", verifyWithin, FormatEndpoint(k))
	}
	if err != nil {
		return nil, err
	}
	return &Visited{FormatEndpoint(k), k.Zone, inventory.Shown(&o)}, nil
}

// watches gives the watch of a name, or all for "".
func (g *Generation) watches(name string) ([]string, error) {
	if name == "" {
		return g.Watches, nil
	}
	if !slices.Contains(g.Watches, name) {
		return nil, refuse(http.StatusNotFound, "there is no watch %.80q; there are %s", name, strings.Join(g.Watches, ", "))
	}
	return []string{name}, nil
}

// pause has nothing sent for a watch, or for all.
func (s *Server) pause(ctx context.Context, g *Generation, c *Command) (any, error) {
	list, err := g.watches(c.Target)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	for _, w := range list {
		if err := g.Orders.Give(ctx, quiet.Order{Kind: quiet.Pause, Target: w, Since: now, Until: c.until(now), Reason: c.Reason, By: c.by}); err != nil {
			return nil, err
		}
	}
	return &Done{"paused: " + strings.Join(list, ", ") + holds(c, now)}, s.obeyed(ctx, g)
}

// resume takes pauses back.
func (s *Server) resume(ctx context.Context, g *Generation, c *Command) (any, error) {
	list, err := g.watches(c.Target)
	if err != nil {
		return nil, err
	}
	var resumed []string
	for _, w := range list {
		switch err := g.Orders.Take(ctx, quiet.Pause, w); {
		case err == nil:
			resumed = append(resumed, w)
		case !errors.Is(err, quiet.ErrNone):
			return nil, err
		}
	}
	if len(resumed) == 0 {
		return nil, refuse(http.StatusConflict, "not paused: %s", strings.Join(list, ", "))
	}
	return &Done{"resumed: " + strings.Join(resumed, ", ")}, s.obeyed(ctx, g)
}

// obeyed waits until the loop obeys an order that is stored: once a pause is
// answered nothing more begins, and what is under way was told to end. A sensor
// that is about to end obeys at its next start.
func (s *Server) obeyed(ctx context.Context, g *Generation) error {
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	switch err := g.Sensor.Obey(ctx); {
	case errors.Is(err, sensor.ErrNotRunning):
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(http.StatusServiceUnavailable, "the order is stored, but the sensor's loop does not answer within %s", s.within)
	default:
		return err
	}
}

// silence keeps events of a target from all but the event file for a while.
func (s *Server) silence(ctx context.Context, g *Generation, c *Command) (any, error) {
	target, err := silenceOf(g, c.Target)
	if err != nil {
		return nil, err
	}
	if c.End {
		if err := g.Orders.Take(ctx, quiet.Silence, target); err != nil {
			return nil, err
		}
		return &Done{"no longer silenced: " + target}, nil
	}
	if c.Seconds == 0 {
		return nil, refuse(http.StatusBadRequest, "a silence needs its time, such as --for 2h")
	}
	now := time.Now().UTC()
	err = g.Orders.Give(ctx, quiet.Order{Kind: quiet.Silence, Target: target, Since: now, Until: c.until(now), Reason: c.Reason, By: c.by})
	if err != nil {
		return nil, err
	}
	return &Done{"silenced: " + target + holds(c, now)}, nil
}

// silenceOf writes a target in one way, so that it can be taken back, and
// refuses a watch that there is not.
func silenceOf(g *Generation, s string) (string, error) {
	if _, err := quiet.ParseTarget(s); err != nil {
		return "", refuse(http.StatusBadRequest, "%v", err)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone("").String(), nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked().String(), nil
	}
	if k, err := ParseEndpoint(s); err == nil {
		k.Addr = k.Addr.WithZone("")
		return FormatEndpoint(k), nil
	}
	_, err := g.watches(s)
	return s, err
}

// release has a host asked again that is left alone.
func (s *Server) release(ctx context.Context, g *Generation, c *Command) (any, error) {
	a, err := netip.ParseAddr(c.Target)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%.80q is no address; write one like 192.0.2.1", c.Target)
	}
	h := event.Host{Zone: c.Zone, Addr: a.Unmap()}
	if h.Zone == "" {
		zones := g.Zones(h.Addr)
		if len(zones) != 1 {
			return nil, refuse(http.StatusConflict, "%s is in %d zones; say which with --zone", h.Addr, len(zones))
		}
		h.Zone = zones[0]
	}
	if err := g.Sensor.Release(ctx, h); err != nil {
		return nil, err
	}
	return &Done{"released: " + h.Addr.String()}, nil
}

// reload answers POST /v1/reload.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) (any, error) {
	c, err := decodeCommand(r.Body)
	if err != nil {
		return nil, err
	}
	mayTake(w, reloadWithin)
	ctx, cancel := context.WithTimeout(r.Context(), reloadWithin)
	defer cancel()
	err = s.cfg.Reload(ctx)
	s.note(r, "reload", &c, err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errBetween
	case err != nil:
		return nil, refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	return &Done{"the configuration was read again"}, nil
}

// holds says until when an order holds.
func holds(c *Command, now time.Time) string {
	if until := c.until(now); !until.IsZero() {
		return fmt.Sprintf(", until %s", until.Format(time.RFC3339))
	}
	return ", until it is taken back"
}
