package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"sonde/probes"
	"sonde/probes/ports"
)

// The elements of nmap's XML output that a scan has something to say for, as
// nmap.dtd names and orders them (the output version 1.05 of nmap 7).
type (
	xmlRun struct {
		XMLName  xml.Name      `xml:"nmaprun"`
		Scanner  string        `xml:"scanner,attr"`
		Args     string        `xml:"args,attr"`
		Start    int64         `xml:"start,attr"`
		StartStr string        `xml:"startstr,attr"`
		Version  string        `xml:"version,attr"`
		Output   string        `xml:"xmloutputversion,attr"`
		Scans    []xmlScanInfo `xml:"scaninfo"`
		Verbose  xmlLevel      `xml:"verbose"`
		Debug    xmlLevel      `xml:"debugging"`
		Hosts    []xmlHost     `xml:"host"`
		Finished xmlFinished   `xml:"runstats>finished"`
		Count    xmlCount      `xml:"runstats>hosts"`
	}
	xmlScanInfo struct {
		Type     string `xml:"type,attr"`
		Protocol string `xml:"protocol,attr"`
		Number   int    `xml:"numservices,attr"`
		Services string `xml:"services,attr"`
	}
	xmlLevel struct {
		Level int `xml:"level,attr"`
	}
	xmlHost struct {
		Start   int64         `xml:"starttime,attr"`
		End     int64         `xml:"endtime,attr"`
		Status  xmlState      `xml:"status"`
		Address xmlAddress    `xml:"address"`
		Names   []xmlHostname `xml:"hostnames>hostname"`
		Extra   []xmlExtra    `xml:"ports>extraports"`
		Ports   []xmlPort     `xml:"ports>port"`
	}
	xmlState struct {
		State  string `xml:"state,attr"`
		Reason string `xml:"reason,attr"`
		TTL    int    `xml:"reason_ttl,attr"`
	}
	xmlAddress struct {
		Addr string `xml:"addr,attr"`
		Type string `xml:"addrtype,attr"`
	}
	xmlHostname struct {
		Name string `xml:"name,attr"`
		Type string `xml:"type,attr"`
	}
	xmlExtra struct {
		State   string           `xml:"state,attr"`
		Count   int              `xml:"count,attr"`
		Reasons []xmlExtraReason `xml:"extrareasons"`
	}
	xmlExtraReason struct {
		Reason string `xml:"reason,attr"`
		Count  int    `xml:"count,attr"`
		Proto  string `xml:"proto,attr"`
	}
	xmlPort struct {
		Protocol string      `xml:"protocol,attr"`
		ID       uint16      `xml:"portid,attr"`
		State    xmlState    `xml:"state"`
		Service  *xmlService `xml:"service"`
	}
	xmlService struct {
		Name        string   `xml:"name,attr"`
		Product     string   `xml:"product,attr,omitempty"`
		Version     string   `xml:"version,attr,omitempty"`
		Info        string   `xml:"extrainfo,attr,omitempty"`
		Hostname    string   `xml:"hostname,attr,omitempty"`
		OS          string   `xml:"ostype,attr,omitempty"`
		Device      string   `xml:"devicetype,attr,omitempty"`
		Fingerprint string   `xml:"servicefp,attr,omitempty"`
		Tunnel      string   `xml:"tunnel,attr,omitempty"`
		Proto       string   `xml:"proto,attr,omitempty"`
		Program     string   `xml:"rpcnum,attr,omitempty"`
		Low         string   `xml:"lowver,attr,omitempty"`
		High        string   `xml:"highver,attr,omitempty"`
		Method      string   `xml:"method,attr"`
		Conf        int      `xml:"conf,attr"`
		CPE         []string `xml:"cpe"`
	}
	xmlFinished struct {
		Time     int64  `xml:"time,attr"`
		TimeStr  string `xml:"timestr,attr"`
		Summary  string `xml:"summary,attr"`
		Elapsed  string `xml:"elapsed,attr"`
		Exit     string `xml:"exit,attr"`
		ErrorMsg string `xml:"errormsg,attr,omitempty"`
	}
	xmlCount struct {
		Up    int `xml:"up,attr"`
		Down  int `xml:"down,attr"`
		Total int `xml:"total,attr"`
	}
)

// XML writes a run as nmap does with -oX, so that what reads that reads this:
// valid against nmap.dtd, which leaves no other name for the scanner than nmap.
// The version says who it was. Certificates, which nmap has in the output of a
// script, are left to the other formats: ndiff of nmap 7.93 fails on a script
// that one file has and the other has not.
func XML(w io.Writer, r *Run) error {
	run := xmlRun{Scanner: "nmap", Args: Printable(strings.Join(r.Args, " ")), Start: r.Start.Unix(),
		StartStr: r.Start.Format(time.ANSIC), Version: "Sonde " + r.Version, Output: "1.05",
		Finished: xmlFinished{Time: r.End.Unix(), TimeStr: r.End.Format(time.ANSIC),
			Elapsed: fmt.Sprintf("%.2f", r.End.Sub(r.Start).Seconds()), Exit: "success"},
		Count: xmlCount{len(r.Hosts), r.Total - len(r.Hosts), r.Total}}
	run.Finished.Summary = fmt.Sprintf("Sonde %s done at %s; %s (%d up) scanned in %s seconds", r.Version,
		run.Finished.TimeStr, Plural(r.Total, "address", "addresses"), len(r.Hosts), run.Finished.Elapsed)
	if r.Failed != nil {
		run.Finished.Exit, run.Finished.ErrorMsg = "error", Printable(r.Failed.Error())
	}
	for _, s := range []struct {
		kind, protocol string
		set            ports.Set
	}{{r.Method, ports.TCP, r.Ports.TCP}, {ports.UDP, ports.UDP, r.Ports.UDP}} {
		if !s.set.IsEmpty() {
			run.Scans = append(run.Scans, xmlScanInfo{s.kind, s.protocol, s.set.Len(), s.set.String()})
		}
	}
	for i := range r.Hosts {
		run.Hosts = append(run.Hosts, xmlOf(&r.Hosts[i], r))
	}
	if _, err := io.WriteString(w, xml.Header+"<!DOCTYPE nmaprun>\n"); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", " ")
	if err := enc.Encode(run); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func xmlOf(h *Host, r *Run) xmlHost {
	out := xmlHost{Start: r.Start.Unix(), End: r.End.Unix(), Status: xmlState{State: "up", Reason: h.reason()},
		Address: xmlAddress{h.Addr.String(), addrType(h.Addr)}}
	for _, n := range h.Names {
		out.Names = append(out.Names, xmlHostname{Printable(n), "user"})
	}
	for _, n := range h.PTR {
		out.Names = append(out.Names, xmlHostname{Printable(n), "PTR"})
	}
	for _, n := range h.Hidden {
		out.Extra = addExtra(out.Extra, n)
	}
	for _, o := range h.sorted() {
		p := xmlPort{Protocol: string(o.Transport), ID: o.Port, Service: xmlServiceOf(&o),
			State: xmlState{State: string(o.State), Reason: Printable(o.Reason)}}
		out.Ports = append(out.Ports, p)
	}
	return out
}

// addExtra adds ports that are only counted, which are grouped by state.
func addExtra(list []xmlExtra, n Hidden) []xmlExtra {
	reason := xmlExtraReason{Printable(n.Reason), n.Count, string(n.Transport)}
	for i := range list {
		if list[i].State == string(n.State) {
			list[i].Count += n.Count
			list[i].Reasons = append(list[i].Reasons, reason)
			return list
		}
	}
	return append(list, xmlExtra{string(n.State), n.Count, []xmlExtraReason{reason}})
}

// The confidences of nmap.
const (
	confTable   = 3
	confWrapped = 8
	confProbed  = 10
)

// xmlServiceOf gives nil for a port of which nothing is known.
func xmlServiceOf(o *probes.Observation) *xmlService {
	if o.Service == "" && o.Fingerprint == "" && o.Tunnel == probes.NoTunnel && o.Outcome != probes.OutcomeTCPWrapped {
		return nil
	}
	s := &xmlService{Name: Printable(o.Service), Product: Printable(o.Product), Version: Printable(o.Version),
		Info: Printable(o.Info), Hostname: Printable(o.Hostname), OS: Printable(o.OS),
		Device: Printable(o.Device), Fingerprint: Printable(o.Fingerprint), Method: "table", Conf: confTable}
	switch {
	case o.Strength == probes.Hard || o.Strength == probes.Soft:
		s.Method, s.Conf = "probed", confProbed
	case o.Outcome == probes.OutcomeTCPWrapped:
		s.Name, s.Method, s.Conf = "tcpwrapped", "probed", confWrapped
	}
	if s.Name == "" {
		s.Name = "unknown"
	}
	if o.Tunnel != probes.NoTunnel {
		s.Tunnel = "ssl" // the DTD's only word, for DTLS too
	}
	if len(o.RPC) == 1 && o.Service != "rpcbind" {
		f := o.RPC[0]
		s.Proto, s.Program = "rpc", strconv.FormatUint(uint64(f.Program), 10)
		s.Low, s.High = strconv.FormatUint(uint64(f.Low), 10), strconv.FormatUint(uint64(f.High), 10)
	}
	for _, c := range o.CPE {
		s.CPE = append(s.CPE, Printable(c))
	}
	return s
}
