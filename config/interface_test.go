package config

import (
	"strings"
	"testing"
)

// watches2 are two watches of which the second has lines of its own.
func watches2(first, second string) string {
	const ports = "\ntcp_ports='22'\n"
	return "[[watch]]\nname='a'\n" + first + ports + "[[watch]]\nname='b'\n" + second + ports
}

func TestInterfaceOfAWatch(t *testing.T) {
	for name, text := range map[string]string{
		"same addresses in two zones": watches2("zone='x'\ninterface='eth1'\ntargets=['10.0.0.0/24']",
			"zone='y'\ninterface='eth2'\ntargets=['10.0.0.0/24']"),
		"other addresses in one zone": watches2("interface='eth1'\ntargets=['10.0.0.0/24']",
			"interface='eth2'\ntargets=['10.0.1.0/24']"),
		"a part by the same interface": watches2("interface='eth1'\ntargets=['10.0.0.0/24']",
			"interface='eth1'\ntargets=['10.0.0.7']"),
		"link-local": watches2("interface='eth1'\ntargets=['fe80::1%eth1']", "targets=['fe80::1%eth2']"),
	} {
		c, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if name != "link-local" && strings.Contains(text, "interface") && c.Watches[0].Interface != "eth1" {
			t.Errorf("%s: interface %q", name, c.Watches[0].Interface)
		}
	}
}

func TestInterfaceMistakes(t *testing.T) {
	for text, want := range map[string]string{
		watches2("interface='eth1/x'\ntargets=['10.0.0.1']", "targets=['10.0.0.2']"):           `t.toml:3:1: watch.interface: "eth1/x" is no name of an interface`,
		watches2("interface='0123456789abcdef'\ntargets=['10.0.0.1']", "targets=['10.0.0.2']"): "1 to 15 characters",
		watches2("interface='lo'\ntargets=['127.0.0.1']", "targets=['10.0.0.2']"):              "give these a watch without an interface",
		watches2("interface='eth1'\ntargets=['fe80::1%eth2']", "targets=['10.0.0.2']"):         "names another one",
		watches2("interface='eth1'\ntargets=['10.0.0.0/24']", "interface='eth2'\ntargets=['10.0.0.0/24']"): `t.toml:8:1: watch.interface: of watch "b" is "eth2" and of watch "a" (t.toml:4:1) "eth1", ` +
			`but both have 10.0.0.0/24 in zone "default"; give one another zone`,
		watches2("targets=['10.0.0.0/16']", "interface='eth2'\ntargets=['10.0.9.1']"):                                       `of watch "b" is "eth2"`,
		watches2("interface='eth2'\ntargets=['10.0.9.1']", "targets=['10.0.0.0/16']"):                                       `of watch "b" is not set`,
		watches2("targets=['10.0.0.0/24','10.0.1.1']", "interface='eth2'\ntargets=['10.0.1.0/24','10.0.0.128/25']"):         `both have`,
		watches2("zone='z'\ninterface='eth1'\ntargets=['fe80::1%eth1','fe80::/120']", "zone='z'\ntargets=['fe80::1%eth1']"): `both have fe80::1%eth1 in zone "z"`,
	} {
		_, err := parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestDividedAlike compares what is found in one walk with the look at all pairs.
func TestDividedAlike(t *testing.T) {
	targets := []string{"10.0.0.0/24", "10.0.0.128/25", "10.0.0.200", "10.0.1.0/24", "10.0.0.0/23", "fd00::/120", "fd00::7"}
	interfaces := []string{"", "eth1", "eth2"}
	n := len(targets) * len(interfaces)
	watchOf := func(i int) Watch {
		r, err := ParseRange(targets[i%len(targets)])
		if err != nil {
			t.Fatal(err)
		}
		return Watch{Interface: interfaces[i/len(targets)], Targets: []Range{r}}
	}
	for i := range n {
		for j := range n {
			for k := range n {
				list := []Watch{watchOf(i), watchOf(j), watchOf(k)}
				bad := false
				for a := range list {
					for b := range a {
						bad = bad || list[a].Interface != list[b].Interface && list[a].Targets[0].Overlaps(list[b].Targets[0])
					}
				}
				if got := len(divided(list)) > 0; got != bad {
					t.Fatalf("%v: divided %v, want %v", list, got, bad)
				}
			}
		}
	}
}
