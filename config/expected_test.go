package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const acceptedFile = `
[[expected]]
address = "192.0.2.10"
port = "443"
service = "http"
product = "nginx"
owner = "web"
[[expected]]
address = "192.0.2.0/24"
port = "53/udp"
owner = "net"
[[expected]]
address = "192.0.2.20"
owner = "lab"
until = "2026-03-31"
`

// loadAccepted loads a configuration with one file in expected.d.
func loadAccepted(t *testing.T, text string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, expectedDir), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sonde.toml")
	for name, data := range map[string]string{path: "", filepath.Join(dir, expectedDir, "a.toml"): text} {
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Load(path)
}

func TestAcceptedState(t *testing.T) {
	c, err := loadAccepted(t, acceptedFile)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Date(2026, 3, 31, 23, 59, 59, 0, time.UTC)
	https, dns, ssh := PortKey{"tcp", 443}, PortKey{"udp", 53}, PortKey{"tcp", 22}
	for name, x := range map[string]struct {
		f             Finding
		addr          string
		agrees, known bool
		owner         string
	}{
		"as it should be":              {Finding{Port: https, Service: "http", Product: "nginx"}, "192.0.2.10", true, true, "web"},
		"another product":              {Finding{Port: https, Service: "http", Product: "Apache"}, "192.0.2.10", false, true, "web"},
		"another port":                 {Finding{Port: ssh, Service: "ssh"}, "192.0.2.10", false, true, "web"},
		"named for the whole prefix":   {Finding{Port: dns, Service: "domain"}, "192.0.2.77", true, true, "net"},
		"another transport":            {Finding{Port: PortKey{"tcp", 53}}, "192.0.2.77", false, true, "net"},
		"of no entry":                  {Finding{Port: ssh}, "198.51.100.1", false, false, ""},
		"gone, though it should be":    {Finding{Port: https, Service: "http", Product: "nginx", Gone: true}, "192.0.2.10", false, true, "web"},
		"gone, and it should be":       {Finding{Port: ssh, Gone: true}, "192.0.2.10", true, true, "web"},
		"a host":                       {Finding{}, "192.0.2.10", true, true, "web"},
		"a host that is gone":          {Finding{Gone: true}, "192.0.2.10", false, true, "web"},
		"anything, to the end":         {Finding{Port: ssh, At: before}, "192.0.2.20", true, true, "lab"},
		"anything, after the end":      {Finding{Port: ssh, At: before.Add(time.Second)}, "192.0.2.20", false, true, "net"},
		"an IPv4 address within IPv6":  {Finding{Port: dns}, "::ffff:192.0.2.77", true, true, "net"},
		"of another family altogether": {Finding{Port: dns}, "2001:db8::1", false, false, ""},
	} {
		x.f.Addr = netip.MustParseAddr(x.addr)
		agrees, known, owner := c.Expected.Judge(x.f)
		if agrees != x.agrees || known != x.known || known && owner != x.owner {
			t.Errorf("%s: %t, known %t, of %q", name, agrees, known, owner)
		}
	}
}

// TestAcceptedStateMistakes: each is told with its place.
func TestAcceptedStateMistakes(t *testing.T) {
	_, err := loadAccepted(t, `
[[expected]]
port = "443/sctp"
until = "soon"
color = "red"
[[expected]]
port = "22"
`)
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"a.toml:3:", "is no port", "a.toml:4:", "is no day", "a.toml:5:", "unknown key",
		"a.toml:6:", "is missing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if _, err := loadAccepted(t, "expected = 3"); err == nil || !strings.Contains(err.Error(), "[[expected]]") {
		t.Errorf("a number: %v", err)
	}
	if _, err := loadAccepted(t, "["); err == nil || !strings.Contains(err.Error(), "a.toml:1:") {
		t.Errorf("no TOML: %v", err)
	}
}

func TestSeverities(t *testing.T) {
	c, err := parse("[severity]\n\"service.new\" = \"error\"\n\"host.gone\" = \"warning\"\n" +
		"[[watch]]\nname = \"w\"\ntargets = [\"192.0.2.1\"]\nseverity = { \"service.new\" = \"info\" }\nbest_effort = true\ni_am_authorised = true\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range [][3]string{{"w", "service.new", "info"}, {"w", "host.gone", "warning"},
		{"", "service.new", "error"}, {"w", "service.gone", ""}} {
		if got := c.SeverityFor(x[0], x[1]); got != x[2] {
			t.Errorf("%s of %q is %q, want %q", x[1], x[0], got, x[2])
		}
	}
	for text, want := range map[string]string{
		"[severity]\n\"service.new\" = \"loud\"":   "write one of info",
		"[severity]\n\"service.newer\" = \"info\"": "service.new",
		"[severity]\n\"service.new\" = 3":          "must be a string",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestConfirmNeedsRoomForAlternations(t *testing.T) {
	if _, err := parse("[confirm]\nunstable_alternations = 6"); err == nil || !strings.Contains(err.Error(), "12 observations") {
		t.Errorf("%v", err)
	}
}
