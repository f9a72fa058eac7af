package config

import (
	"fmt"
	"strings"
)

// Syslog is a syslog daemon or collector.
type Syslog struct {
	Name     string // "" for the only one; names its place in the outbox
	Enabled  bool
	Target   SyslogTarget
	Format   string // "sonde", "ecs" or "cef"
	Facility int    // 0–23, RFC 5424 section 6.2.1

	// Files of PEM for the network "tls": absolute paths, or what
	// CredentialPrefix marks.
	CA          string // "": the system's
	Certificate string // "": none of our own
	Key         string
	ServerName  string // "": the host of Target

	Resend     int // messages sent again over a new connection, "tcp" and "tls"
	MaxBacklog int
}

// CredentialPrefix marks the name of a systemd credential, where a path of a
// secret may stand: a file in $CREDENTIALS_DIRECTORY.
const CredentialPrefix = "credential:"

// maxResend is enough for what a receiver of 10 Gbit/s may lose.
const maxResend = 10_000

func newSyslog() Syslog {
	return Syslog{Target: SyslogTarget{"unixgram", "/dev/log"}, Format: "sonde", Facility: 3,
		Resend: 64, MaxBacklog: 100_000}
}

var syslogTable = table[Syslog]{
	"name":        text(func(s *Syslog) *string { return &s.Name }, checkOutputName),
	"enabled":     flag(func(s *Syslog) *bool { return &s.Enabled }),
	"target":      parsed(func(s *Syslog) *SyslogTarget { return &s.Target }, `"/dev/log"`, parseSyslogTarget),
	"format":      text(func(s *Syslog) *string { return &s.Format }, oneOf("sonde", "ecs", "cef")),
	"facility":    parsed(func(s *Syslog) *int { return &s.Facility }, `"daemon"`, parseFacility),
	"ca":          text(func(s *Syslog) *string { return &s.CA }, checkSecret),
	"certificate": text(func(s *Syslog) *string { return &s.Certificate }, checkSecret),
	"key":         text(func(s *Syslog) *string { return &s.Key }, checkSecret),
	"server_name": text(func(s *Syslog) *string { return &s.ServerName }, checkServerName),
	"resend":      number(func(s *Syslog) *int { return &s.Resend }, 0, maxResend),
	"max_backlog": number(func(s *Syslog) *int { return &s.MaxBacklog }, minBacklog, maxBacklog),
}

// checkOutputName lets "" pass, the name of the only one.
func checkOutputName(s string) error {
	if s == "" {
		return nil
	}
	return checkLabel(s)
}

// checkSecret accepts an absolute path, or the name of a credential, which is
// one of a file.
func checkSecret(s string) error {
	name, ok := strings.CutPrefix(s, CredentialPrefix)
	if !ok {
		return checkAbsolute(s)
	}
	if checkLabel(name) != nil || strings.Trim(name, ".") == "" {
		return fmt.Errorf(`%.80q names no credential; write one like "credential:sonde-key"`, s)
	}
	return nil
}

func checkServerName(s string) error {
	if s != "" && !isHostName(strings.ToLower(s)) {
		return fmt.Errorf(`%.80q is no host name; write the one in the receiver's certificate`, s)
	}
	return nil
}

// syslogs reads [output.syslog], or a list of [[output.syslog]].
func syslogs(r *reader, o *Output, v value) {
	var tables []any
	switch x := v.any.(type) {
	case []map[string]any:
		for _, t := range x {
			tables = append(tables, t)
		}
	case []any:
		tables = x
	default:
		if at, list := r.set[syslogPath(0)]; list {
			r.bad(v, "is a list at %s already; write [[output.syslog]] here too, with double brackets", at)
			return
		}
		if _, again := r.set["output.syslog"]; !again {
			r.set["output.syslog"] = v.pos()
		}
		syslogTable.read(r, &o.Syslog[0], v)
		return
	}
	if at, single := r.set["output.syslog"]; single {
		r.bad(v, "is a single table at %s already; write [[output.syslog]] there too, with double brackets", at)
		return
	}
	if _, again := r.set[syslogPath(0)]; !again {
		o.Syslog = nil
	}
	for i, t := range tables {
		s := newSyslog()
		e := value{t, v.file, syslogPath(len(o.Syslog)), "output.syslog", v.place.item(i)}
		r.set[e.path] = e.pos()
		syslogTable.read(r, &s, e)
		o.Syslog = append(o.Syslog, s)
	}
}

func syslogPath(i int) string { return fmt.Sprintf("output.syslog[%d]", i) }

// syslogAt gives the place of a key of a syslog output, or of its table.
func (r *reader) syslogAt(i int, key string) Pos {
	for _, path := range []string{syslogPath(i) + "." + key, "output.syslog." + key, syslogPath(i)} {
		if at, ok := r.set[path]; ok {
			return at
		}
	}
	return r.set["output.syslog"]
}

// checkOutputs checks what concerns more than one key.
func (r *reader) checkOutputs(c *Config) {
	names := map[string]int{}
	for i := range c.Output.Syslog {
		s := &c.Output.Syslog[i]
		if first, twice := names[s.Name]; twice {
			r.fail(r.syslogAt(i, "name"), "output.syslog.name",
				"%q is the output at %s already; give each one a name of its own", s.Name, r.syslogAt(first, "name"))
		} else {
			names[s.Name] = i
		}
		if s.Target.Network != "tls" {
			for key, set := range map[string]string{"ca": s.CA, "certificate": s.Certificate, "key": s.Key,
				"server_name": s.ServerName} {
				if set != "" {
					r.fail(r.syslogAt(i, key), "output.syslog."+key,
						`is for a target "tls://host:6514"; write such a target, or remove the key`)
				}
			}
		}
		if (s.Certificate == "") != (s.Key == "") {
			key, lacks := "certificate", "key"
			if s.Certificate == "" {
				key, lacks = lacks, key
			}
			r.fail(r.syslogAt(i, key), "output.syslog."+key, "needs %s beside it", lacks)
		}
	}
}
