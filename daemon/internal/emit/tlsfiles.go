package emit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLSFiles are what a TLS connection to a receiver is made with. Empty names
// mean: the system's authorities, and no certificate of our own.
type TLSFiles struct {
	CA          string // PEM: the authorities that the receiver's certificate is checked by
	Certificate string // PEM: ours, with its chain
	Key         string // PEM
	ServerName  string // that the receiver's certificate must have
}

// Load reads the files. Its error names the file and what is wrong with it.
// RFC 5425 asks for TLS 1.2 at least.
func (f TLSFiles) Load() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	var errs []error
	if f.CA != "" {
		pool, err := loadCA(f.CA)
		if err != nil {
			errs = append(errs, err)
		}
		cfg.RootCAs = pool
	}
	if f.Certificate != "" {
		pair, err := loadPair(f.Certificate, f.Key)
		if err != nil {
			errs = append(errs, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return cfg, nil
}

func loadCA(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %s holds no certificate in PEM", path)
	}
	return pool, nil
}

func loadPair(certificate, key string) (tls.Certificate, error) {
	c, err := os.ReadFile(certificate)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	k, err := os.ReadFile(key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(c, k)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s with key %s: %w", certificate, key, err)
	}
	return pair, nil
}
