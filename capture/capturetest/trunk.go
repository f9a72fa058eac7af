//go:build linux

package capturetest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// NewTrunk makes a pair whose link carries tagged frames of one VLAN, 7: Near
// and Far are interfaces of that VLAN, with the pair's addresses, and the
// result's last two are the trunk's ends, on which a capture sees the tags.
//
// Where the kernel has VLANs, Near and Far are its sub-interfaces. Where it has
// none, they are Ethernet interfaces like those, and the test itself puts the
// tags on and takes them off.
func NewTrunk(t testing.TB) (p *Pair, near, far Port) {
	t.Helper()
	p = &Pair{Sensor: NewNamespace(t), Target: NewNamespace(t)}
	near, far = Port{p.Sensor, "trunk"}, Port{p.Target, "trunk"}
	Veth(t, near, far)
	p.Near, p.Far = Port{p.Sensor, "trunk.7"}, Port{p.Target, "trunk.7"}
	for _, end := range []struct{ trunk, vlan Port }{{near, p.Near}, {far, p.Far}} {
		err := exec.Command("ip", "-n", end.trunk.In.Name, "link", "add", "link", end.trunk.Name,
			"name", end.vlan.Name, "type", "vlan", "id", "7").Run()
		if err != nil {
			t.Logf("no VLANs in this kernel (%v): the test tags the frames", err)
			tagged(t, end.trunk, end.vlan)
		}
		end.vlan.Up(t)
	}
	p.Address(t)
	return p, near, far
}

// tagged makes vlan an interface whose frames have tag 7 on trunk.
func tagged(t testing.TB, trunk, vlan Port) {
	t.Helper()
	var in *ring
	var fd int
	trunk.In.Do(t, func() (err error) {
		if in, err = openRing(trunk.Name, ringConfig{blocks: 16, incoming: true}); err != nil {
			return err
		}
		fd, err = openSender(in.index)
		return err
	})
	tag := []byte{0x81, 0x00, 0, 7}
	d := newTap(t, vlan, func(b []byte) []byte {
		if len(b) >= 14 {
			_, _ = unix.Write(fd, slices.Concat(b[:12], tag, b[12:]))
		}
		return nil
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		in.read(func(f ringFrame) {
			if f.tagged && f.vlan == 7 {
				d.inject(f.bytes)
			}
		}, func() {})
	}()
	t.Cleanup(func() { // before the device and the namespaces end
		in.stop()
		<-done
		in.close()
		d.file.Close()
		<-d.done
		_ = unix.Close(fd)
	})
}

// Interfaces are the names of the namespace's interfaces but loopback.
func (n *Namespace) Interfaces(t testing.TB) (names []string) {
	t.Helper()
	for line := range strings.Lines(n.IP(t, "-br", "link")) {
		if name, _, _ := strings.Cut(strings.Fields(line)[0], "@"); name != "lo" {
			names = append(names, name)
		}
	}
	return names
}
