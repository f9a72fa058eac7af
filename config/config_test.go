package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var cmpAddr = cmpopts.EquateComparable(netip.Addr{})

// parse reads one file named t.toml.
func parse(text string) (*Config, error) {
	return Parse([]Source{{"t.toml", []byte(text)}}, nil)
}

// allKeys lists the keys of the tables, dotted.
func allKeys() []string {
	var out []string
	add := func(prefix string, names ...string) {
		for _, n := range names {
			out = append(out, prefix+n)
		}
	}
	add("sensor.", keysOf(sensorTable)...)
	add("state.", keysOf(stateTable)...)
	add("identity.", keysOf(identityTable)...)
	add("watch.", keysOf(watchTable)...)
	add("limits.", keysOf(limitsTable)...)
	add("discovery.", keysOf(discoveryTable)...)
	add("passive.", keysOf(passiveTable)...)
	add("confirm.", keysOf(confirmTable)...)
	add("database.", keysOf(databaseTable)...)
	add("control.", keysOf(controlTable)...)
	add("output.", keysOf(outputTable)...)
	add("sent.", keysOf(sentTable)...)
	add("output.json.", keysOf(jsonTable)...)
	add("output.inventory.", keysOf(inventoryTable)...)
	add("output.journal.", keysOf(journalTable)...)
	add("output.syslog.", keysOf(syslogTable)...)
	slices.Sort(out)
	return slices.DeleteFunc(out, func(s string) bool {
		return strings.HasPrefix(s, "output.") && strings.Count(s, ".") == 1 && s != "output.heartbeat_every"
	})
}

func keysOf[T any](t table[T]) (names []string) {
	for n := range t {
		names = append(names, n)
	}
	return names
}

func TestReferenceEqualsDefaults(t *testing.T) {
	empty, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(empty, Default(), cmpAddr); diff != "" {
		t.Errorf("reference.toml differs from the defaults (-defaults +reference):\n%s", diff)
	}
}

func TestReferenceHasEveryKey(t *testing.T) {
	var got []string
	prefix := ""
	for line := range strings.Lines(string(Reference)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			prefix = strings.Trim(line, "[]") + "."
		} else if key, _, ok := strings.Cut(line, " = "); ok && line[0] != '#' {
			got = append(got, prefix+key)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(allKeys(), got); diff != "" {
		t.Errorf("keys of the tables and of reference.toml (-tables +file):\n%s", diff)
	}
}

// Each key has its comment, but the one that follows another in "...".
func TestReferenceExplainsEveryKey(t *testing.T) {
	before := ""
	for line := range strings.Lines(string(Reference)) {
		if key, _, ok := strings.Cut(line, " = "); ok && line[0] != '#' {
			if !strings.HasPrefix(before, "#") && key != "enabled" {
				t.Errorf("%s has no comment above it", key)
			}
		}
		if len(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("wider than 80 columns: %s", line)
		}
		before = line
	}
}

// Each key reaches a field of its own: setting it to another value than the
// default changes the Config.
func TestEveryKeyDoesSomething(t *testing.T) {
	other := map[string]string{
		"watch.targets": `["127.0.0.9"]`, "watch.exclude": `["127.0.0.1"]`,
		"watch.active_hours": `["daily 01:00-02:00"]`, "watch.time_zone": `"Europe/Berlin"`,
		"watch.names": `["x.example"]`, "database.files": `["/x"]`, "database.disable": `["a.b-c_1"]`,
		"watch.tcp_ports": `"7"`, "watch.udp_ports": `"7"`, "watch.rpc": `"grind"`,
		"limits.connect_timeout": `"900ms"`, "limits.max_answer": `"4KiB"`, "limits.tries": "1", "limits.connections": "501", "limits.packets_per_second": "999",
		"discovery.method": `"syn"`, "discovery.source_ports": `"2000-2100"`, "passive.interfaces": `["eth1"]`,
		"identity.contact": `"a@example.org"`, "identity.user_agent": `"x"`, "identity.ehlo_name": `"a.example"`,
		"state.events_for": `"10d"`, "state.history_for": `"10d"`, "state.gone_for": `"700d"`,
		"state.events_most": "5000", "state.history_most": "5000", "state.max_size": `"1GiB"`, "state.min_free": `"1GiB"`,
		"sent.keep_for": `"10d"`, "sent.max_size": `"1GiB"`,
		"watch.addresses": `"dynamic"`, "watch.all_nodes": `"never"`, "watch.severity": `{ "service.new" = "error" }`,
		"confirm.unstable_alternations": "3", "confirm.unstable_of": "20",
		"control.directory": `"/x"`, "control.listen": `"[::1]:9797"`,
		"sensor.log_level": `"debug"`, "sensor.state_dir": `"/x"`,
		"output.json.max_size": `"1MiB"`, "output.inventory.max_size": `"1GiB"`, "output.syslog.target": `"/x"`, "output.syslog.facility": `"user"`,
		"output.json.path": `"x.json"`, "output.json.format": `"ecs"`, "output.json.max_backlog": "100",
		"output.journal.max_backlog": "100", "output.syslog.max_backlog": "100", "output.syslog.format": `"cef"`,
		"output.syslog.ca": `"/x"`, "output.syslog.certificate": `"credential:x"`, "output.syslog.key": `"/x"`,
	}
	// What a key makes no sense without. Nothing is compared with it then.
	const overTLS = "target = 'tls://h:1'\n"
	with := map[string]string{"output.syslog.ca": overTLS, "output.syslog.server_name": overTLS,
		"output.syslog.certificate": overTLS + "key = '/k'\n", "output.syslog.key": overTLS + "certificate = '/c'\n"}
	for _, key := range allKeys() {
		dot := strings.LastIndexByte(key, '.')
		section, name := key[:dot], key[dot+1:]
		base, head := "", "["+section+"]\n"+with[key]
		if section == "watch" {
			base = "[[watch]]\nname='w'\ntargets=['127.0.0.1']\n"
			if name == "interface" {
				base = strings.ReplaceAll(base, "127.0.0.1", "10.0.0.1") // a loopback one has none
			}
			head = base
			if name == "name" || name == "targets" {
				head = strings.ReplaceAll(base, name+"=", "# ")
			}
		}
		before, _ := parse(base)
		works := false
		for _, v := range []string{other[key], `"y"`, "4", `"77s"`, "true", "false"} {
			if got, err := parse(head + name + " = " + v + "\n"); err == nil {
				works = works || before == nil || !got.Equal(before)
			}
		}
		if !works {
			t.Errorf("%s changes nothing", key)
		}
	}
}

func TestWatchDefaults(t *testing.T) {
	c, err := parse("[[watch]]\nname='office'\ntargets=['192.168.7.0/24']\n")
	if err != nil {
		t.Fatal(err)
	}
	want := newWatch()
	want.Name = "office"
	want.Targets = []Range{{netip.MustParseAddr("192.168.7.0"), netip.MustParseAddr("192.168.7.255")}}
	if diff := cmp.Diff([]Watch{want}, c.Watches, cmpAddr); diff != "" {
		t.Error(diff)
	}
	if len(c.Watches[0].NamesOf(want.Targets[0].First)) != 0 {
		t.Error("names out of nothing")
	}
}

func TestWholeFile(t *testing.T) {
	c, err := parse(`
[sensor]
name = "probe-1"
[[watch]]
name = "dmz"
zone = "outside"
targets = ["10.1.0.0/28", "10.1.1.1-3"]
exclude = ["10.1.0.7"]
tcp_ports = "22,80-82"
udp_ports = ""
discover_every = "2h"
verify_every = "1d"
gone_after = "90s"
names = ["WWW.example.org.", "mail.example.org=10.1.1.2"]
credentials = true
[output.syslog]
enabled = true
target = "udp://[2001:db8::1]:514"
facility = "local3"
`)
	if err != nil {
		t.Fatal(err)
	}
	w := c.Watches[0]
	if got := w.TCPPorts.String(); got != "22,80-82" {
		t.Errorf("tcp_ports = %q", got)
	}
	if !w.UDPPorts.IsEmpty() || w.VerifyEvery != 24*time.Hour || w.GoneAfter != 90*time.Second || !w.Credentials {
		t.Errorf("watch = %+v", w)
	}
	if got := w.NamesOf(netip.MustParseAddr("10.1.1.2")); !slices.Equal(got, []string{"www.example.org", "mail.example.org"}) {
		t.Errorf("names of 10.1.1.2 = %q", got)
	}
	if got := w.NamesOf(netip.MustParseAddr("10.1.1.3")); !slices.Equal(got, []string{"www.example.org"}) {
		t.Errorf("names of 10.1.1.3 = %q", got)
	}
	want := newSyslog()
	want.Enabled, want.Target, want.Facility = true, SyslogTarget{"udp", "[2001:db8::1]:514"}, 19
	if len(c.Output.Syslog) != 1 || c.Output.Syslog[0] != want {
		t.Errorf("syslog = %+v", c.Output.Syslog)
	}
	if got := c.Scope(&w).Len(); got != 18 {
		t.Errorf("scope has %d addresses, want 16+3-1", got)
	}
}

// One file with many mistakes: each is told, with its place.
func TestAllMistakesAtOnce(t *testing.T) {
	_, err := parse(mistakes)
	var es Errors
	if !errors.As(err, &es) {
		t.Fatalf("error is %T: %v", err, err)
	}
	var got []string
	for _, e := range es {
		reason := e.Reason
		if len(reason) > 34 {
			reason = reason[:34]
		}
		got = append(got, strings.Join([]string{Pos{"", e.Line, e.Col}.String(), e.Key, reason}, " "))
	}
	if diff := cmp.Diff(mistakesTold, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%v", diff, err)
	}
}

const mistakes = `[sensor]
nmae = "x"
  log_level = "loud"
state_dir = "here"
[limits]
tries = "2"
packets_per_second = 0
connect_timeout = 5
[[watch]]
name = "a b"
targets = ["10.0.0.1/8",
  "x", 7, "224.0.0.1",
  "10.0.0.9-10.0.0.1"]
tcp_ports = "22,,x"
verify_every = "soon"
[[watch]]
targets = ["10.0.0.1"]
held = "yes"
colour = 1
[[watch]]
name = "c"
targets = ["8.8.8.8"]
[output]
json = 3
[output.syslog]
target = "tcp://x"
facility = "local9"
ca = "ca.pem"
key = "credential:.."
[database]
files = "builtin"
intensity = 10
disable = ["http-generic", "HTTP", ""]
[colour]
`

var mistakesTold = []string{
	`:2:1 sensor.nmae unknown key; write name, or remove`,
	`:3:3 sensor.log_level "loud" is not known; write one of `,
	`:4:1 sensor.state_dir "here" depends on where the progra`,
	`:6:1 limits.tries is a string, but must be a whole n`,
	`:7:1 limits.packets_per_second 0 is out of range; write a number `,
	`:8:1 limits.connect_timeout is a whole number, but must be a s`,
	`:10:1 watch.name "a b" is no name; write 1 to 64 le`,
	`:11:12 watch.targets element 1: "10.0.0.1/8" has bits s`,
	`:12:3 watch.targets element 2: "x" is no address; writ`,
	`:12:8 watch.targets element 3 is a whole number, but m`,
	`:12:11 watch.targets element 4: "224.0.0.1" reaches int`,
	`:13:3 watch.targets element 5: "10.0.0.9-10.0.0.1" end`,
	`:14:1 watch.tcp_ports port list, byte 4: "": nothing sta`,
	`:15:1 watch.verify_every "soon" is no time; write a number `,
	`:16:1 watch.name is missing; write name = "office"`,
	`:18:1 watch.held is a string, but must be true or f`,
	`:19:1 watch.colour unknown key; remove it; known here`,
	`:22:1 watch.targets 8.8.8.8 is not private; narrow the`,
	`:24:1 output.json is a whole number, but must be a t`,
	`:26:1 output.syslog.target "tcp://x" is no syslog target; wri`,
	`:27:1 output.syslog.facility "local9" is no syslog facility; wr`,
	`:28:1 output.syslog.ca "ca.pem" depends on where the prog`,
	`:29:1 output.syslog.key "credential:.." names no credentia`,
	`:31:1 database.files is a string, but must be a list of`,
	`:32:1 database.intensity 10 is out of range; write a number`,
	`:33:28 database.disable element 2: "HTTP" is not the id of`,
	`:33:36 database.disable element 3: an empty id names no li`,
	`:34:1 colour unknown key; remove it; known here`,
}

func TestSyntaxErrorHasPlace(t *testing.T) {
	_, err := parse("[sensor]\nname = \"x\nlog_level = 1\n")
	var e *Error
	if !errors.As(err, &e) || e.Line != 2 || e.Col < 8 {
		t.Errorf("error = %v", err)
	}
}

func TestLoadDirectory(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	main := filepath.Join(dir, "sonde.toml")
	write("sonde.toml", "[limits]\ntries = 3\n[database]\nfiles = ['builtin']\n[[watch]]\nname='m'\ntargets=['10.0.0.1']\n")
	write("conf.d/20-b.toml", "[[watch]]\nname='b'\ntargets=['10.0.0.3']\n")
	write("conf.d/10-a.toml", "[database]\nfiles = ['/a']\n[[watch]]\nname='a'\ntargets=['10.0.0.0/30']\nexclude=['10.0.0.2']\n")
	write("conf.d/readme", "not toml")
	write("probes.d/20-b.probes", "not read")
	write("probes.d/10-a.probes", "not read")
	write("probes.d/10-a.examples", "not a file of probes")
	write("exclude.d/printers", "# floor 2\n 10.0.0.1  # the old one\n\n")
	write("exclude.d/.hidden", "not read")
	c, err := Load(main)
	if err != nil {
		t.Fatal(err)
	}
	if got := byNameOrder(c); !slices.Equal(got, []string{"m", "a", "b"}) {
		t.Errorf("watches %q", got)
	}
	if !slices.Equal(c.Database.Files, []string{"builtin", "/a"}) || c.Limits.Tries != 3 {
		t.Errorf("files %q, tries %d", c.Database.Files, c.Limits.Tries)
	}
	local := []string{filepath.Join(dir, "probes.d/10-a.probes"), filepath.Join(dir, "probes.d/20-b.probes")}
	if !slices.Equal(c.Database.Local, local) {
		t.Errorf("local probe files %q", c.Database.Local)
	}
	for a, want := range map[string]bool{"10.0.0.1": false, "10.0.0.2": false, "10.0.0.3": true, "::ffff:10.0.0.2": false} {
		if got := c.Allowed(netip.MustParseAddr(a)); got != want {
			t.Errorf("Allowed(%s) = %t", a, got)
		}
	}

	write("conf.d/20-b.toml", "[limits]\ntries = 4\n")
	write("exclude.d/printers", "10.0.0.1\n  10.0.0.300\n")
	_, err = Load(main)
	var es Errors
	if !errors.As(err, &es) || len(es) != 2 ||
		!strings.HasPrefix(es[0].Error(), filepath.Join(dir, "conf.d/20-b.toml")+":2:1: limits.tries: is set in "+main+":2:1 already") ||
		!strings.HasPrefix(es[1].Error(), filepath.Join(dir, "exclude.d/printers")+":2:3: ") {
		t.Errorf("errors: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "none.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func byNameOrder(c *Config) (names []string) {
	for _, w := range c.Watches {
		names = append(names, w.Name)
	}
	return names
}

func TestResolve(t *testing.T) {
	c := Default()
	c.Resolve("box", "/var/lib/sonde", "/run/sonde")
	if c.Sensor.Name != "box" || c.Sensor.StateDir != "/var/lib/sonde" || c.Output.JSON.Path != "/var/lib/sonde/events.json" {
		t.Errorf("resolved to %+v %+v", c.Sensor, c.Output.JSON)
	}
	env := func(v string) func(string) string { return func(string) string { return v } }
	if got := DefaultStateDir(env("/a:/b")); got != "/a" {
		t.Errorf("DefaultStateDir = %s", got)
	}
	if got := DefaultStateDir(env("")); got != "/var/lib/sonde" {
		t.Errorf("DefaultStateDir = %s", got)
	}
}

func TestDiff(t *testing.T) {
	old, _ := parse("[[watch]]\nname='a'\ntargets=['10.0.0.1']\n[[watch]]\nname='b'\ntargets=['10.0.0.2']\n")
	now, _ := parse("[limits]\ntries=3\n[sensor]\nstate_dir='/x'\n[[watch]]\nname='c'\ntargets=['10.0.0.1']\n" +
		"[[watch]]\nname='b'\ntargets=['10.0.0.2']\nheld=true\n")
	want := Change{Added: []string{"c"}, Removed: []string{"a"}, Changed: []string{"b"}, Limits: true,
		Restart: []string{"sensor.state_dir"}}
	if diff := cmp.Diff(want, Diff(old, now)); diff != "" {
		t.Error(diff)
	}
	if !Diff(now, now).IsZero() || !now.Equal(now) || now.Equal(old) {
		t.Error("a config differs from itself, or not from another")
	}
}

func TestRPC(t *testing.T) {
	const watch = "[[watch]]\nname='w'\ntargets=['10.0.0.2']\n"
	for text, want := range map[string]string{
		"": "list", "rpc='off'": "off", "rpc='list'": "list", "rpc='grind'": "grind",
	} {
		c, err := Parse([]Source{{"sonde.toml", []byte(watch + text)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if w := c.Watches[0]; w.RPC != want || !w.StartTLS {
			t.Errorf("%q: rpc %q, starttls %v", text, w.RPC, w.StartTLS)
		}
	}
	for _, text := range []string{"rpc='yes'", "rpc=true", "rpc=''", "starttls='no'"} {
		if _, err := Parse([]Source{{"sonde.toml", []byte(watch + text)}}, nil); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
	c, err := Parse([]Source{{"sonde.toml", []byte(watch + "starttls=false")}}, nil)
	if err != nil || c.Watches[0].StartTLS {
		t.Error("starttls stays on", err)
	}
}

func TestDiscovery(t *testing.T) {
	for text, want := range map[string]string{
		"[discovery]\nmethod='raw'":                  `t.toml:2:1: discovery.method: "raw" is not known; write one of auto, syn, connect`,
		"[discovery]\nsource_ports='61000'":          `t.toml:2:1: discovery.source_ports: "61000" is no range of 16 to 4096 ports from 1024 on`,
		"[discovery]\nsource_ports='61000-61014'":    "is no range of 16",
		"[discovery]\nsource_ports='1000-1100'":      "is no range of 16",
		"[discovery]\nsource_ports='20000-24096'":    "is no range of 16",
		"[discovery]\nsource_ports='65000-65600'":    "is no range of 16",
		"[discovery]\nsource_ports='61255-61000'":    "is no range of 16",
		"[discovery]\nsource_ports=61000":            "is a whole number, but must be a string",
		"[passive]\ninterfaces=['eth0','a b']":       `t.toml:2:20: passive.interfaces: element 2: "a b" is no name of an interface`,
		"[passive]\ninterfaces=['0123456789abcdef']": "is no name of an interface",
		"[passive]\ninterfaces=['../x']":             "is no name of an interface",
		"[passive]\nenabled='yes'":                   "must be true or false",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	c, err := parse("[discovery]\nmethod='syn'\nsource_ports='20000-24095'\n[passive]\nenabled=false\ninterfaces=['eth0.7','br-lan']\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := (Discovery{SYN, PortRange{20000, 24095}}); c.Discovery != want || c.Discovery.SourcePorts.String() != "20000-24095" {
		t.Errorf("discovery = %+v", c.Discovery)
	}
	if c.Passive.Enabled || !slices.Equal(c.Passive.Interfaces, []string{"eth0.7", "br-lan"}) {
		t.Errorf("passive = %+v", c.Passive)
	}
	now, _ := parse("")
	if d := Diff(c, now); !d.Discovery || !d.Passive || Diff(now, now).Discovery {
		t.Errorf("diff = %+v", d)
	}
}

// Promises must hold for the worse way of discovery, unless one is chosen.
func TestMethodDecidesFeasibility(t *testing.T) {
	const watch = "[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\ntcp_ports='1-3000'\nudp_ports=''\n"
	for text, holds := range map[string]bool{"": false, "[discovery]\nmethod='connect'\n": false, "[discovery]\nmethod='syn'\n": true} {
		if _, err := parse(text + watch); (err == nil) != holds {
			t.Errorf("%q: %v", text, err)
		}
	}
	c := draft(t, watch)
	if r := c.Remedies(c.Costing()); len(r) == 0 || len(r[0]) != 1 || r[0][0].String() != `discovery.method = "syn"` {
		t.Errorf("remedies %v", r)
	}
}
