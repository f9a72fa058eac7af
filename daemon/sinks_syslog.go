package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sonde/config"
	"sonde/daemon/internal/emit"
)

// syslogConfig gives one syslog output of the configuration as the sink takes
// it.
func syslogConfig(cfg *config.Config, s *config.Syslog) emit.SyslogConfig {
	sc := emit.SyslogConfig{Name: syslogName(s), Network: s.Target.Network, Address: s.Target.Address,
		Format: emit.Format(s.Format), Facility: s.Facility, Hostname: cfg.Sensor.Name, Resend: s.Resend,
		TLS: func() (*tls.Config, error) { return loadTLS(s) }}
	if cfg.Output.JSON.Enabled {
		sc.Full = cfg.Output.JSON.Path
	}
	return sc
}

// syslogName is the name of the cursor, "syslog" or "syslog.NAME".
func syslogName(s *config.Syslog) string {
	if s.Name == "" {
		return emit.SyslogName
	}
	return emit.SyslogName + "." + s.Name
}

// errNoCredentials is that the program runs outside of the service that has
// the credentials.
var errNoCredentials = errors.New("the service manager has given no credentials")

// loadTLS reads what a TLS connection to the receiver is made with.
func loadTLS(s *config.Syslog) (*tls.Config, error) {
	files := emit.TLSFiles{ServerName: s.ServerName}
	for _, f := range []struct {
		into *string
		name string
	}{{&files.CA, s.CA}, {&files.Certificate, s.Certificate}, {&files.Key, s.Key}} {
		var err error
		if *f.into, err = secretPath(f.name, os.Getenv); err != nil {
			return nil, err
		}
	}
	return files.Load()
}

// secretPath gives the path of what the configuration names by a path or as a
// credential (systemd.exec(5), CREDENTIALS_DIRECTORY).
func secretPath(s string, getenv func(string) string) (string, error) {
	name, ok := strings.CutPrefix(s, config.CredentialPrefix)
	if !ok {
		return s, nil
	}
	dir := getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", fmt.Errorf("%s: %w; set LoadCredential=%s:/its/path in the unit", s, errNoCredentials, name)
	}
	return filepath.Join(dir, name), nil
}

// checkSecrets reads the files of each output that is on, without connecting.
// It gives a remark for each that it could not look at from here.
func checkSecrets(cfg *config.Config) (remarks []string, err error) {
	var errs []error
	for i := range cfg.Output.Syslog {
		s := &cfg.Output.Syslog[i]
		if !s.Enabled || s.Target.Network != "tls" {
			continue
		}
		_, err := loadTLS(s)
		switch {
		case errors.Is(err, errNoCredentials):
			remarks = append(remarks, fmt.Sprintf("output %s: %v", syslogName(s), err))
		case err != nil:
			errs = append(errs, fmt.Errorf("output.%s: %w", syslogName(s), err))
		}
	}
	return remarks, errors.Join(errs...)
}
