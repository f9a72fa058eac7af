package session

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"sonde/match"
	"sonde/probes"
)

// However many names a target has, and whatever visits come between, each is
// asked by within a known number of the visits that ask by names.
func TestNamesTakeTurns(t *testing.T) {
	settings := DefaultSettings()
	settings.Names = true
	p, err := New(Config{Settings: settings, Database: loadText(t, `
Probe TCP NULL q||
match ssl/mail m|^220 |
Probe TCP GetRequest q|GET|
sslports 7000
`)})
	if err != nil {
		t.Fatal(err)
	}
	script, err := parsePeer("tls yes\ntls greet say \"220 hi\\r\\n\"")
	if err != nil {
		t.Fatal(err)
	}
	for names := 1; names <= 12; names++ {
		t.Run(fmt.Sprint(names), func(t *testing.T) {
			ep := probes.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 7000, Transport: probes.TCP}
			for n := range names {
				ep.Names = append(ep.Names, fmt.Sprintf("n%d.example", n))
			}
			within := max(1, (names-1+maxNames-1)/maxNames)
			last := map[string]int{}
			var known Remembered
			for round := range 4 * (within + 1) {
				for _, due := range []bool{true, false, false} {
					known.Extras = due
					o := newSim(t, p.NewMachine(ep, known, match.NewScratch()), script).run()
					for _, f := range o.TLS {
						last[f.Name] = round
					}
					if len(o.TLS) > 1+maxNames || !due && len(o.TLS) != 1 {
						t.Fatalf("asked by %d names, due %v", len(o.TLS), due)
					}
					known = Recall(&o)
				}
				if round == 2*(within+1) {
					known.Turn = 0 // the sensor was started anew
				}
				for _, name := range ep.Names {
					if round < 2*(within+1) && round >= within && round-last[name] >= within {
						t.Errorf("round %d: %s was asked for in round %d", round, name, last[name])
					}
				}
			}
			if len(last) != names {
				t.Errorf("%d of %d names were asked for", len(last), names)
			}
		})
	}
}

// A sensor that is started anew each day does not begin with the same names.
func TestTurnWithoutMemory(t *testing.T) {
	m := &Machine{}
	m.known.Probe = "NULL"
	seen := map[int]bool{}
	for day := range 7 {
		m.now = time.Unix(1e9, 0).Add(time.Duration(day) * 24 * time.Hour)
		seen[m.firstName(7)] = true
	}
	if len(seen) != 7 {
		t.Errorf("in a week it begins at %v", seen)
	}
}
