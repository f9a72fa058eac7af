package ports

import "slices"

// Top gives the n ports of transport that matter most on networks as we know
// them, most important first; fewer if n is above [TopSize].
//
// The order is a judgement, not a measurement: first what nearly every host
// offers and what is attacked most, then infrastructure, data stores and
// management, then the long tail. It begins with a hand-made ranking and goes
// on with the other named ports in ascending order.
func Top(transport string, n int) []uint16 {
	ranked, table := rankedTCP, tcpNames
	switch transport {
	case TCP:
	case UDP:
		ranked, table = rankedUDP, udpNames
	default:
		return nil
	}
	if n <= len(ranked) {
		return slices.Clone(ranked[:max(n, 0)])
	}
	out := slices.Clone(ranked)
	for _, e := range table {
		if len(out) == n {
			break
		}
		if !slices.Contains(ranked, e.port) {
			out = append(out, e.port)
		}
	}
	return out
}

// TopSize is how many ports of transport are ranked: the largest useful n.
func TopSize(transport string) int { return len(tableOf(transport)) }

// rankedTCP is the hand-made part of the order. Each port has a name in the
// table, which is what makes TopSize the size of the table.
var rankedTCP = []uint16{
	80, 443, 22, 445, 3389, 21, 25, 23, 53, 8080,
	139, 135, 3306, 110, 143, 8443, 5900, 993, 995, 587,
	5432, 1433, 6379, 389, 111, 8000, 9100, 5000, 631, 5985,
	8888, 27017, 9200, 2049, 636, 5060, 1723, 465, 554, 179,
	10000, 3000, 8081, 515, 88, 873, 9090, 5672, 1883, 11211,
	1521, 3268, 5986, 8008, 8009, 9000, 2375, 2376, 6443, 10250,
	2379, 9092, 5601, 8086, 8883, 548, 5357, 49152, 7, 81,
	2222, 8180, 8090, 3128, 1080, 6000, 5901, 5061, 8291, 8728,
	161, 427, 264, 500, 102, 502, 20000, 44818, 47808, 113,
	119, 13, 37, 79, 9, 19, 17, 26, 70, 990,
	992, 1025, 1026, 1027, 1194, 1352, 1434, 1494, 1701, 1720,
	1755, 1812, 1900, 2000, 2001, 2082, 2083, 2086, 2087, 2095,
	2096, 2121, 2181, 2380, 2381, 2401, 2525, 2601, 2604, 3050,
	3260, 3269, 3299, 3310, 3351, 3632, 3690, 3689, 4000, 4040,
	4045, 4369, 4443, 4444, 4505, 4506, 4786, 4848, 4899, 5001,
	5038, 5050, 5222, 5223, 5269, 5280, 5353, 5433, 5555, 5631,
	5666, 5671, 5800, 5938, 5984, 6001, 6066, 6082, 6112, 6514,
	6556, 6666, 6667, 6697, 7000, 7001, 7002, 7070, 7077, 7080,
	7443, 7474, 7547, 7777, 8001, 8002, 8006, 8007, 8020, 8025,
	8042, 8069, 8082, 8083, 8087, 8088, 8089, 8096, 8098, 8100,
	8111, 8112, 8123, 8140, 8161, 8084, 8085, 8099, 8200, 8222,
	8300, 8333, 8384, 8400, 8444, 8500, 8530, 8531, 8554, 8834,
	8880, 8889, 8983, 9001, 9002, 9009, 9042, 9080, 9091, 9093,
	9094, 9160, 9300, 9389, 9418, 9443, 9999, 10050, 10051, 10443,
	10255, 11434, 15672, 16509, 16992, 16993, 18080, 19999, 20880, 25565,
	25672, 27018, 28017, 32400, 50000, 50070, 61616, 62078, 49153, 49154,
	49155, 49156, 49157, 32768, 512, 513, 514, 543, 544, 593,
	464, 623, 8649, 4190, 24,
}

// rankedUDP is the same for UDP.
var rankedUDP = []uint16{
	53, 161, 123, 137, 5353, 67, 500, 1900, 69, 514,
	111, 138, 4500, 5060, 389, 1434, 623, 3702, 162, 68,
	443, 1194, 51820, 88, 520, 1812, 1645, 1813, 2049, 11211,
	5355, 1701, 3478, 5683, 47808, 44818, 6881, 27015, 19, 7,
	177, 427, 464, 17, 13, 37, 9, 80, 5351, 10001,
	3283, 17185, 2000, 5632, 30718, 1604, 2427, 1719, 49152, 32768,
	5684, 8125, 4789, 6343, 2055, 9995, 4739, 3389, 64738, 9987,
	5061, 1718, 2123, 2152, 3784, 646, 1985, 521, 546, 547,
	523, 407, 626, 631, 1023, 2302, 25565, 26000, 27960, 3391,
	34964, 5093, 7001, 8888, 10080, 9999, 20000, 502, 2362,
}
