//go:build integration && linux

package emit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// rsyslogConf makes rsyslogd parse structured data and JSON, and write what it
// understood.
const rsyslogConf = `
global(workDirectory="%[1]s" defaultNetstreamDriverCAFile="%[1]s/ca.crt"
  defaultNetstreamDriverCertFile="%[1]s/server.example.crt" defaultNetstreamDriverKeyFile="%[1]s/server.example.key")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
module(load="imuxsock" sysSock.use="off")
module(load="mmpstrucdata")
module(load="mmjsonparse")
template(name="out" type="list") {
  constant(value="{\"pri\":\"") property(name="pri" format="json")
  constant(value="\",\"host\":\"") property(name="hostname" format="json")
  constant(value="\",\"app\":\"") property(name="programname" format="json")
  constant(value="\",\"msgid\":\"") property(name="msgid" format="json")
  constant(value="\",\"msg\":\"") property(name="msg" format="json")
  constant(value="\",\"vars\":") property(name="$!all-json")
  constant(value="}\n")
}
ruleset(name="all") {
  action(type="mmpstrucdata")
  action(type="mmjsonparse")
  action(type="omfile" file="%[2]s" template="out")
}
input(type="imudp" address="127.0.0.1" port="%[3]d" ruleset="all")
input(type="imptcp" address="127.0.0.1" port="%[4]d" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="%[5]d" ruleset="all")
input(type="imuxsock" socket="%[6]s" useSysTimeStamp="off" useSpecialParser="on" rateLimit.interval="0" ruleset="all")
`

// rsyslogd prepares a server that runs from up to down.
func rsyslogd(t *testing.T) (s *site, ca *authority, up func() *exec.Cmd) {
	t.Helper()
	program := need(t, "rsyslog", "rsyslogd", "/usr/sbin/rsyslogd")
	if found, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_gtls.so"); len(found) == 0 {
		t.Skip("lmnsd_gtls.so is missing: install the Debian package rsyslog-gnutls")
	}
	s, ca = newSite(t)
	conf := ca.file("rsyslog.conf")
	text := fmt.Sprintf(rsyslogConf, ca.dir, s.out, s.udp, s.tcp, s.tls, s.socket)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, ca, func() *exec.Cmd {
		t.Helper()
		os.Remove(s.socket)
		os.Remove(ca.file("pid"))
		cmd := exec.Command(program, "-n", "-f", conf, "-i", ca.file("pid"))
		start(t, cmd)
		s.up(t)
		return cmd
	}
}

// rsyslogRead is how its output is understood.
func rsyslogRead(m map[string]any) read {
	vars, _ := m["vars"].(map[string]any)
	all, _ := vars["rfc5424-sd"].(map[string]any)
	sd, _ := all[sdID].(map[string]any)
	return read{pri: fmt.Sprint(m["pri"]), host: fmt.Sprint(m["host"]), app: fmt.Sprint(m["app"]),
		msgid: fmt.Sprint(m["msgid"]), msg: fmt.Sprint(m["msg"]), sd: sd, body: vars}
}

func TestRsyslogUnderstands(t *testing.T) {
	s, _, up := rsyslogd(t)
	up()
	s.talk(t, rsyslogRead)
}
