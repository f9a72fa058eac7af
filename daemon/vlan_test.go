package main

import "testing"

func TestParseVLAN(t *testing.T) {
	for text, want := range map[string]int{
		"eth0.10  VID: 10\t REORDER_HDR: 1  dev->priv_flags: 1021\n         total frames received 0\n": 10,
		"VID: 4094": 4094, "VID: 4095": 0, "VID: 0": 0, "VID: -1": 0, "VID:": 0, "VID: x": 0, "": 0,
	} {
		if got := parseVLAN(text); got != want {
			t.Errorf("%q is VLAN %d, want %d", text, got, want)
		}
	}
	for _, name := range []string{"", "../vlan/config", "no-such-interface"} {
		if got := vlanOf(name); got != 0 {
			t.Errorf("interface %q is in VLAN %d", name, got)
		}
	}
}
