package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSyslogAsTableAndAsList(t *testing.T) {
	one, err := parse("[output.syslog]\nenabled = true\ntarget = 'tcp://h:601'\n")
	if err != nil {
		t.Fatal(err)
	}
	list, err := parse("[[output.syslog]]\nenabled = true\ntarget = 'tcp://h:601'\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one.Output.Syslog, list.Output.Syslog); diff != "" {
		t.Errorf("a list of one differs from a table:\n%s", diff)
	}
	two, err := Parse([]Source{
		{"a.toml", []byte("[[output.syslog]]\nname = 'soc'\ntarget = 'tls://[2001:db8::1]:6514'\n" +
			"ca = '/ca'\ncertificate = 'credential:crt'\nkey = 'credential:key'\nresend = 0\n")},
		{"b.toml", []byte("[[output.syslog]]\nformat = 'cef'\n")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, second := newSyslog(), newSyslog()
	first.Name, first.Target, first.CA = "soc", SyslogTarget{"tls", "[2001:db8::1]:6514"}, "/ca"
	first.Certificate, first.Key, first.Resend = "credential:crt", "credential:key", 0
	second.Format = "cef"
	if diff := cmp.Diff([]Syslog{first, second}, two.Output.Syslog); diff != "" {
		t.Errorf("two lists:\n%s", diff)
	}
	if host := first.Target.Host(); host != "2001:db8::1" {
		t.Errorf("host %q", host)
	}
	if s := first.Target.String(); s != "tls://[2001:db8::1]:6514" {
		t.Errorf("target %q", s)
	}
}

func TestOutputMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[[output.syslog]]\n[[output.syslog]]\n", `:2:1: output.syslog.name: "" is the output at`},
		{"[[output.syslog]]\nname='a'\n[[output.syslog]]\nname='a'\n", `:4:1: output.syslog.name: "a" is the output at`},
		{"[output.syslog]\nca = '/x'\n", `:2:1: output.syslog.ca: is for a target "tls://`},
		{"[output.syslog]\ntarget='tls://h:1'\nkey = '/x'\n", `:3:1: output.syslog.key: needs certificate`},
		{"[[output.syslog]]\ntarget='tls://h:1'\ncertificate = '/x'\n", `:3:1: output.syslog.certificate: needs key`},
		{"[output.syslog]\nserver_name = 'a b'\n", `"a b" is no host name`},
		{"[output.syslog]\nname = 'a b'\n", `"a b" is no name`},
		{"[output.syslog]\ntarget = 'tls://h'\n", `"tls://h" is no syslog target`},
		{"[output.json]\npath = 'events.log'\n", `does not end in ".json"`},
		{"[output.json]\nformat = 'cef'\n", `"cef" is not known; write one of sonde, ecs`},
		{"[output.json]\nmax_backlog = 1\n", `1 is out of range`},
		{"[output.inventory]\nevery = '2d'\n", `"2d" is out of range`},
		{"[output]\nsyslog = 3\n", `must be a table`},
	} {
		_, err := parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
	_, err := Parse([]Source{{"a", []byte("[output.syslog]\nenabled = true\n")},
		{"b", []byte("[[output.syslog]]\nenabled = true\n")}}, nil)
	if err == nil || !strings.Contains(err.Error(), "is a single table at a:1:1 already") {
		t.Errorf("a table and a list: %v", err)
	}
	_, err = Parse([]Source{{"a", []byte("[[output.syslog]]\nenabled = true\n")},
		{"b", []byte("[output.syslog]\nenabled = true\n")}}, nil)
	if err == nil || !strings.Contains(err.Error(), "is a list at a:1:") {
		t.Errorf("a list and a table: %v", err)
	}
}
