//go:build integration && linux

package emit

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// syslogNGConf makes syslog-ng parse everything, and write what it understood.
const syslogNGConf = `@version: 3.38
options { keep-hostname(yes); use-dns(no); stats-freq(0); };
source all {
  syslog(ip(127.0.0.1) port(%[2]d) transport("udp"));
  syslog(ip(127.0.0.1) port(%[3]d) transport("tcp"));
  syslog(ip(127.0.0.1) port(%[4]d) transport("tls") tls(cert-file("%[1]s/server.example.crt")
    key-file("%[1]s/server.example.key") ca-file("%[1]s/ca.crt") peer-verify(required-trusted)));
};
source local { unix-dgram("%[5]s"); };
parser cee { json-parser(marker("@cee:") prefix("cee.")); };
template out { template("$(format-json pri=$PRI host=$HOST app=$PROGRAM msgid=$MSGID msg=$MESSAGE --key .SDATA.* --key cee.*)\n"); };
destination out { file("%[6]s" template(out)); };
log { source(all); destination(out); flags(final); };
log { source(local); if { parser(cee); }; destination(out); };
`

// syslogNGHome is where the package is unpacked: it cannot be installed beside
// rsyslog.
func syslogNGHome() string { return cmp.Or(os.Getenv("SONDE_SYSLOG_NG"), "/opt/syslog-ng") }

func TestSyslogNGUnderstands(t *testing.T) {
	home := syslogNGHome()
	program := need(t, "syslog-ng-core", filepath.Join(home, "usr/sbin/syslog-ng"), "syslog-ng", "/usr/sbin/syslog-ng")
	s, ca := newSite(t)
	conf := ca.file("syslog-ng.conf")
	text := fmt.Sprintf(syslogNGConf, ca.dir, s.udp, s.tcp, s.tls, s.socket, s.out)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-F", "--no-caps", "-f", conf, "-p", ca.file("pid"), "-R", ca.file("persist"), "-c", ca.file("ctl")}
	libs := filepath.Join(home, "usr/lib/syslog-ng")
	if modules, _ := filepath.Glob(filepath.Join(libs, "[0-9]*")); len(modules) > 0 {
		args = append(args, "--module-path="+modules[0])
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libs)
	start(t, cmd)
	s.up(t)
	s.talk(t, func(m map[string]any) read {
		all, _ := m["_SDATA"].(map[string]any)
		sd, _ := all[sdID].(map[string]any)
		cee, _ := m["cee"].(map[string]any)
		return read{pri: fmt.Sprint(m["pri"]), host: fmt.Sprint(m["host"]), app: fmt.Sprint(m["app"]),
			msgid: fmt.Sprint(m["msgid"]), msg: fmt.Sprint(m["msg"]), sd: sd, body: cee}
	})
}
