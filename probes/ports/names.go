package ports

import (
	"cmp"
	"slices"
)

// An entry names one port of one transport.
type entry struct {
	port uint16
	name string
}

// Name gives the name of a port of transport, "tcp" or "udp": what the field
// calls it, else what is registered, and "" if there is neither. It says what
// usually listens there, nothing about what does.
func Name(port uint16, transport string) string {
	if names := Names(port, transport); len(names) > 0 {
		return names[0]
	}
	return ""
}

// Names gives all names of a port of transport: what the field calls it first,
// then what is registered for it (RFC 6335). Most have one.
func Names(port uint16, transport string) []string {
	var names []string
	for _, table := range [][]entry{tableOf(transport), registered(transport)} {
		i, _ := slices.BinarySearchFunc(table, port, func(e entry, p uint16) int {
			return cmp.Compare(e.port, p)
		})
		for ; i < len(table) && table[i].port == port; i++ {
			if !slices.Contains(names, table[i].name) {
				names = append(names, table[i].name)
			}
		}
	}
	return names
}

func tableOf(transport string) []entry {
	switch transport {
	case TCP:
		return tcpNames
	case UDP:
		return udpNames
	}
	return nil
}

// aliases are names that people write for ports whose registered name is
// another. They are read, never printed.
var aliases = map[string]uint16{
	"cassandra":      9042,
	"dns":            53,
	"elastic":        9200,
	"etcd":           2379,
	"grafana":        3000,
	"kafka":          9092,
	"kerberos":       88,
	"pdl-datastream": 9100,
	"sunrpc":         111,
	"imap2":          143,
	"ldap-gc":        3268,
	"memcached":      11211,
	"modbus":         502,
	"mongo":          27017,
	"mqtts":          8883,
	"mssql":          1433,
	"netbios":        139,
	"node-exporter":  9100,
	"oracle":         1521,
	"portmap":        111,
	"portmapper":     111,
	"postgres":       5432,
	"rabbitmq":       5672,
	"rdp":            3389,
	"s7":             102,
	"smb":            445,
	"smtps":          465,
	"snmp-trap":      162,
	"winrm":          5985,
	"zabbix":         10051,
}
