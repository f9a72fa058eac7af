// Package fragile tells which hosts are to be asked with care: printers,
// controllers and power supplies, whose small stacks stop, print or switch off
// for what others shrug at. It believes only what a signature says outright, so
// that a port number alone, or a guess, changes nothing.
//
// A host that poses as such a device is asked less, and that is all it gains.
package fragile

import (
	"errors"
	"slices"

	"sonde/probes"
)

// ErrRecalled ends conversations that began when nobody knew how fragile their
// host is. They are made anew.
var ErrRecalled = errors.New("the host is to be asked with care")

// devices are device types in the words of the signatures. What those call
// specialized is controllers, meters, instruments and the like.
var devices = []string{"printer", "print server", "power-device", "power-misc", "specialized"}

// services speak for themselves, whatever else is known of the device.
var services = []string{"modbus", "iso-tsap", "bacnet", "EtherNet-IP-2", "hp-pjl"}

// Host tells whether what was seen of an endpoint says that its host is fragile.
func Host(o *probes.Observation) bool {
	return o.Strength == probes.Hard &&
		(slices.Contains(devices, o.Device) || slices.Contains(services, o.Service))
}
