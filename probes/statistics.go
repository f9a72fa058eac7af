package probes

// Statistics counts what a database knows.
type Statistics struct {
	TCPProbes   int `json:"tcp_probes"` // NULL included
	UDPProbes   int `json:"udp_probes"`
	Match       int `json:"match"`       // match lines that are searched
	SoftMatch   int `json:"softmatch"`   // softmatch lines that are searched
	Services    int `json:"services"`    // different service names
	Products    int `json:"products"`    // different product templates
	WithVersion int `json:"version"`     // lines that tell a version
	Unsupported int `json:"unsupported"` // lines that were left out
}

// Statistics counts the probes and rules.
func (db *Database) Statistics() Statistics {
	s := Statistics{Unsupported: len(db.Unsupported)}
	services, products := map[string]bool{}, map[string]bool{}
	for _, p := range db.probes {
		if p.Transport == TCP {
			s.TCPProbes++
		} else {
			s.UDPProbes++
		}
		for r := range p.Rules() {
			if r.Soft {
				s.SoftMatch++
			} else {
				s.Match++
			}
			services[r.Service] = true
			if r.Fields.Product != "" {
				products[r.Fields.Product] = true
			}
			if r.Fields.Version != "" {
				s.WithVersion++
			}
		}
	}
	s.Services, s.Products = len(services), len(products)
	return s
}
