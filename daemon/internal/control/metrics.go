package control

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sonde/daemon/internal/sensor"
)

// metricsAtOnce is how many scrapes are answered at once.
const metricsAtOnce = 4

// newMetrics makes what answers GET /metrics. All labels are words of ours, or
// names from the configuration: nothing from the network names a series.
func (s *Server) newMetrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: metricsAtOnce,
		ErrorLog: quietLog{s.cfg.Log}, ErrorHandling: promhttp.HTTPErrorOnError})
}

// quietLog logs what goes wrong with a scrape, as often as somebody scrapes.
type quietLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (l quietLog) Println(v ...any) {
	l.log.Debug("metrics not told", "err", strings.TrimSpace(fmt.Sprintln(v...)))
}

func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sonde_"+name, help, labels, nil)
}

var (
	buildDesc     = described("build_info", "The program and its database, always 1.", "version", "database", "discovery")
	startDesc     = described("start_time_seconds", "When the sensor was started, in Unix time.")
	healthyDesc   = described("healthy", "Whether /healthz is 200.")
	problemsDesc  = described("problems", "Why it is not, by what has a problem.", "of")
	beatDesc      = described("loop_age_seconds", "Since the sensor's loop came round last.")
	seqDesc       = described("events_last_seq", "Sequence number of the last event that was committed.")
	servicesDesc  = described("watch_services", "Services by how they stand; one may be counted by several states.", "watch", "state")
	brokenDesc    = described("watch_promise_broken", "Whether a promise is told to be broken.", "watch", "promise")
	everyDesc     = described("watch_promise_seconds", "What is promised.", "watch", "promise")
	sweepAgeDesc  = described("watch_sweep_age_seconds", "Since the last complete sweep began. A watch without one has none.", "watch")
	shutDesc      = described("watch_shut", "Whether nothing is sent, by the reason.", "watch", "reason")
	queueDesc     = described("watch_queue", "Visits and sweeps that wait, for room (due) or their time (later).", "watch", "state")
	underWayDesc  = described("visits_under_way", "Conversations with endpoints that are under way.")
	sweepsDesc    = described("sweeps_under_way", "Sweeps that are not complete.")
	visitsDesc    = described("visits_total", "Visits since the configuration was taken up, by outcome.", "outcome")
	leftAloneDesc = described("hosts_left_alone", "Hosts that fell silent after they were asked, and have not been seen since.")
	carefulDesc   = described("hosts_careful", "Hosts that are asked with care, as they are fragile.")
	heldDesc      = described("held", "Whether nothing begins, as the disk is nearly full.")
	downDesc      = described("output_down", "Whether the last delivery to an output failed.", "output")
	backlogDesc   = described("output_backlog_events", "Events an output is behind.", "output")
	failuresDesc  = described("output_failures_total", "Deliveries that failed.", "output")
	droppedDesc   = described("output_dropped_events_total", "Events that an output was behind by too many to get.", "output")
	socketsDesc   = described("sockets", "Sockets of visits: open, waiting for one, and how many there may be.", "state")
	lackDesc      = described("sockets_refused_total", "How often the system had none to give, by what it lacked.", "lack")
	foreignDesc   = described("sockets_foreign_total", "Datagrams that came from somebody who was not asked.")
	packetsDesc   = described("discovery_packets_total", "Packets of discovery: sent, received, validated, spoofed, dropped, repeated.", "kind")
	rateDesc      = described("discovery_packets_per_second", "Rate that the sweeps under way hold together, or those before held.")
	sightingsDesc = described("sightings_total", "What listening saw: taken, suppressed as known or too many, missed for want of room.", "kind")
	framesDesc    = described("capture_frames_dropped_total", "Frames that listening did not look at, dropped by the kernel or by sampling.")
)

// A collector tells the metrics of one look.
type collector struct{ s *Server }

// Describe implements prometheus.Collector.
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{buildDesc, startDesc, healthyDesc, problemsDesc, beatDesc, seqDesc, servicesDesc,
		brokenDesc, everyDesc, sweepAgeDesc, shutDesc, queueDesc, underWayDesc, sweepsDesc, visitsDesc, leftAloneDesc,
		carefulDesc, heldDesc, downDesc, backlogDesc, failuresDesc, droppedDesc, socketsDesc, lackDesc, foreignDesc,
		packetsDesc, rateDesc, sightingsDesc, framesDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	t := teller{to}
	l := c.s.look()
	h := c.s.judge(l)
	t.gauge(healthyDesc, bit(h.Healthy))
	problems := map[string]int{"sensor": 0, "promise": 0, "output": 0, "store": 0}
	for i := range h.Problems {
		problems[h.Problems[i].Of]++
	}
	for of, n := range problems {
		t.gauge(problemsDesc, float64(n), of)
	}
	t.gauge(startDesc, float64(c.s.cfg.Started.UnixMilli())/1000)
	t.gauge(beatDesc, time.Since(c.s.cfg.Beat()).Seconds())
	if l == nil {
		return
	}
	t.gauge(buildDesc, 1, c.s.cfg.Version, l.of.Database.Hash, l.of.Discovery.Method)
	if l.storeErr == nil {
		t.gauge(seqDesc, float64(l.lastSeq))
		t.outputs(l.outputs)
	}
	if l.err == nil {
		t.overview(&l.overview)
	}
}

// A teller makes metrics.
type teller struct{ to chan<- prometheus.Metric }

func (t teller) gauge(d *prometheus.Desc, v float64, labels ...string) {
	t.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (t teller) counter(d *prometheus.Desc, v float64, labels ...string) {
	t.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (t teller) outputs(list []Output) {
	for i := range list {
		o := &list[i]
		t.gauge(downDesc, bit(o.Down), o.Name)
		t.gauge(backlogDesc, float64(o.Backlog), o.Name)
		t.counter(failuresDesc, float64(o.Failures), o.Name)
		t.counter(droppedDesc, float64(o.Dropped), o.Name)
	}
}

func (t teller) overview(v *sensor.Overview) {
	for i := range v.Watches {
		t.watch(&v.Watches[i])
	}
	t.gauge(underWayDesc, float64(v.Visits))
	t.gauge(sweepsDesc, float64(len(v.Sweeps)))
	for outcome, n := range v.Outcomes {
		t.counter(visitsDesc, float64(n), string(outcome))
	}
	t.gauge(leftAloneDesc, float64(v.Resting))
	t.gauge(carefulDesc, float64(v.Careful))
	t.gauge(heldDesc, bit(v.Held))
	k := &v.Sockets
	for state, n := range map[string]int{"open": k.Open, "waiting": k.Waiting, "limit": k.Limit, "capacity": k.Capacity} {
		t.gauge(socketsDesc, float64(n), state)
	}
	for lack, n := range map[string]uint64{"files": k.Files, "ports": k.Ports, "buffers": k.Buffers} {
		t.counter(lackDesc, float64(n), lack)
	}
	t.counter(foreignDesc, float64(k.Foreign))
	t.discovery(v)
}

func (t teller) watch(w *sensor.Standing) {
	for state, n := range map[string]int{"known": w.Known, "fresh": w.Fresh, "overdue": w.Overdue, "unstable": w.Unstable,
		"quarantined": w.Quarantined, "held": w.Held, "blocked": w.Blocked} {
		t.gauge(servicesDesc, float64(n), w.Watch, state)
	}
	t.gauge(brokenDesc, bit(w.VerifyBroken), w.Watch, "verify_every")
	t.gauge(brokenDesc, bit(w.DiscoverBroken), w.Watch, "discover_every")
	t.gauge(everyDesc, w.VerifyEvery.Seconds(), w.Watch, "verify_every")
	t.gauge(everyDesc, w.DiscoverEvery.Seconds(), w.Watch, "discover_every")
	if w.SweepAge >= 0 {
		t.gauge(sweepAgeDesc, w.SweepAge.Seconds(), w.Watch)
	}
	for _, reason := range sensor.ShutReasons {
		t.gauge(shutDesc, bit(w.Shut == reason), w.Watch, reason)
	}
	t.gauge(queueDesc, float64(w.Due), w.Watch, "due")
	t.gauge(queueDesc, float64(w.Later), w.Watch, "later")
}

// discovery tells what Config.Discovery of the sensor counts. A sensor that
// discovers by connections counts no packets, and one that does not listen no
// sightings.
func (t teller) discovery(v *sensor.Overview) {
	for _, kind := range []string{"sent", "received", "validated", "spoofed", "dropped", "repeated"} {
		if n, counted := v.Discovery[kind]; counted {
			t.counter(packetsDesc, float64(n), kind)
		}
	}
	if n, counted := v.Discovery["rate"]; counted {
		t.gauge(rateDesc, float64(n))
	}
	if n, listens := v.Discovery["sightings"]; listens {
		t.counter(sightingsDesc, float64(n), "taken")
		t.counter(sightingsDesc, float64(v.Discovery["sightings_suppressed"]), "suppressed")
		t.counter(sightingsDesc, float64(v.Missed), "missed")
		t.counter(framesDesc, float64(v.Discovery["frames_dropped"]))
	}
}

func bit(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
