package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sonde/config"
	"sonde/probes"
	"sonde/probes/ports"
)

// systemConfig is where a scan looks for excludes when no file is named.
const systemConfig = "/etc/sonde/sonde.toml"

// submitTo says where to go with a fingerprint.
const submitTo = "CONTRIBUTING.md#signatures"

// What a scan does unless told otherwise. It ends after one pass, so it may
// ask one host more at a time than the daemon, which comes again and again.
const (
	scanPorts           = "1-1024,top:200"
	scanRate            = 1000
	scanHostRate        = 200
	scanConnections     = 1000
	scanHostConnections = 8
	scanHostVisits      = 50
)

type scanOptions struct {
	ports, output, config     string
	input, excludeFile        string
	topPorts                  int
	reverseDNS                bool
	databases, exclude, names []string
	method                    string
	udp, connect, only4       bool
	only6, authorised         bool
	verbose, scrub            bool
	submitTo                  string
	how                       manner
	intensity                 int
	limits                    limits
	identity                  config.Identity  // of the configuration
	sourcePorts               config.PortRange // likewise
	database                  config.Database  // likewise
}

func newScanCommand() *cobra.Command {
	defaults := config.Default()
	o := scanOptions{limits: ofConfig(&defaults.Limits), sourcePorts: defaults.Discovery.SourcePorts}
	o.limits.sweep, o.limits.visit = scanConnections/2, scanConnections/2
	o.limits.hostVisits = scanHostVisits
	c := &cobra.Command{
		Use:   "scan TARGET...",
		Short: "Look once, now: hosts, open ports, and what runs there",
		Long: `Makes one pass over the targets and prints a table, or JSON lines, of what
answers. Nothing is remembered. A TARGET is an address, a CIDR prefix, a run
such as 192.0.2.1-9, runs and lists of octets such as 192.168.1-3.1,5,9, or a
host name.

The formats xml and grepable are those of nmap, for programs that read these;
they come when the scan is over.

A scan is quicker than the daemon: by default 1,000 packets per second in all,
200 per second and 8 connections at once to one address. Addresses that the
sensor's configuration excludes are left out here too. An address that turns out
to be a printer, a controller or a power supply is asked one thing at a time and
slowly, unless --include-held and --industrial both say that none can be harmed.`,
		Example: `  sonde scan 127.0.0.1 -p 1-1024
  sonde scan 192.168.1.0/24 --udp -o json
  sonde scan fe80::1%eth0 -p ssh,http,https`,
		Args: func(c *cobra.Command, args []string) error {
			if o.input != "" {
				return nil
			}
			return someArgs("a target, or --input FILE")(c, args)
		},
		RunE: stoppable(o.run),
	}
	f := c.Flags()
	f.StringVarP(&o.ports, "ports", "p", scanPorts, "`PORTS`: numbers, ranges, names, top:N; U: before UDP ports")
	f.StringVarP(&o.output, "output", "o", "text", "text, json (one object per open port), xml or grepable")
	f.StringVarP(&o.config, "config", "c", "", "configuration `FILE` whose excludes, identity and database hold (without it: "+systemConfig+" if there is one)")
	f.StringArrayVar(&o.exclude, "exclude", nil, "`ADDRESSES` that are not touched: address, prefix or run, comma-separated; may be repeated")
	f.StringVar(&o.excludeFile, "exclude-file", "", "`FILE` of addresses that are not touched")
	f.StringVarP(&o.input, "input", "i", "", "`FILE` of further targets, separated by blanks or lines; # begins a comment; - is stdin")
	f.IntVar(&o.topPorts, "top-ports", 0, "the `N` ports that matter most, as -p top:N")
	f.BoolVarP(&o.reverseDNS, "reverse-dns", "R", false, "ask the resolver for the names of addresses that are up")
	f.StringArrayVar(&o.names, "names", nil, "host `NAME` to ask by in TLS and HTTP; may be repeated")
	f.BoolVar(&o.udp, "udp", false, "also UDP; ports without a prefix count for both")
	f.StringVarP(&o.how.via, "interface", "e", "", "send by this `INTERFACE`, whatever the routes say (Linux)")
	f.StringVar(&o.method, "method", config.Auto, "find ports by syn: packets of our own, which need CAP_NET_RAW; connect; or auto, syn where it is permitted")
	f.BoolVar(&o.connect, "connect", false, "the same as --method connect")
	f.IntVar(&o.intensity, "intensity", probes.IntensityDefault, "try probes up to this rarity, 0 to 9")
	f.IntVar(&o.limits.packets, "rate", scanRate, "packets per second, in all")
	f.IntVar(&o.limits.hostPackets, "host-rate", scanHostRate, "packets per second to one address")
	f.IntVar(&o.limits.hostConnections, "host-connections", scanHostConnections, "connections at once to one address")
	f.DurationVar(&o.limits.timeout, "timeout", time.Second, "how long one try of discovery waits")
	f.IntVar(&o.limits.tries, "tries", 2, "how often silence is tried before it is believed")
	f.BoolVarP(&o.only4, "ipv4", "4", false, "only IPv4 addresses")
	f.BoolVarP(&o.only6, "ipv6", "6", false, "only IPv6 addresses")
	f.BoolVar(&o.how.startTLS, "starttls", true, "also read the certificates of plain services after STARTTLS; --starttls=false does not")
	f.BoolVar(&o.how.sshKey, "ssh-host-key", true, "also read the host keys of SSH servers, without logging in; --ssh-host-key=false does not")
	f.StringVar(&o.how.rpc, "rpc", "grind", "SunRPC: list the programs of port mappers; grind to find those of other ports too; or off")
	f.BoolVar(&o.how.allow.Credentials, "credentials", false, "also probes that guess a credential, such as SNMP community public")
	f.BoolVar(&o.how.allow.Held, "include-held", false, "also speak to print ports (9100-9116, 9999); printers may print it")
	f.BoolVar(&o.how.allow.Industrial, "industrial", false, "also identification requests to industrial, BMC and UPS ports")
	f.BoolVar(&o.authorised, "i-am-authorised", false, "the targets are public or more than a /16, and you may scan them")
	f.BoolVar(&o.scrub, "scrub", false, "hide names, addresses, cookies, tokens and dates in fingerprints of unknown services")
	f.StringVar(&o.submitTo, "submit-to", submitTo, "`URL` shown beside them, where to go with them")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log each visit to stderr")
	addDatabaseFlag(c, &o.databases)
	return c
}

// check refuses values that make no scan.
func (o *scanOptions) check() error {
	if err := oneOf("output", o.output, "text", "json", "xml", "grepable"); err != nil {
		return err
	}
	if err := oneOf("method", o.method, config.Auto, config.SYN, config.Connect); err != nil {
		return err
	}
	if o.connect && o.method == config.SYN {
		return usageError{errors.New("--connect and --method syn contradict each other; give one of them")}
	}
	if err := oneOf("rpc", o.how.rpc, "list", "grind", "off"); err != nil {
		return err
	}
	for _, n := range []struct {
		flag            string
		value, min, max int
	}{
		{"intensity", o.intensity, 0, probes.IntensityAll},
		{"rate", o.limits.packets, 1, 1_000_000},
		{"host-rate", o.limits.hostPackets, 1, 1_000_000},
		{"host-connections", o.limits.hostConnections, 2, scanConnections / 2},
		{"tries", o.limits.tries, 1, 10},
	} {
		if n.value < n.min || n.value > n.max {
			return usageError{fmt.Errorf("--%s %d is out of range; write a number from %d to %d", n.flag, n.value, n.min, n.max)}
		}
	}
	if o.limits.timeout < time.Millisecond || o.limits.timeout > time.Minute {
		return usageError{fmt.Errorf("--timeout %v is out of range; write a time from 1ms to 1m", o.limits.timeout)}
	}
	if o.reverseDNS && o.output == "json" {
		return usageError{errors.New("--reverse-dns has its names when the scan is over, and json tells before; choose another output")}
	}
	if o.topPorts < 0 {
		return usageError{fmt.Errorf("--top-ports %d is out of range; write how many ports", o.topPorts)}
	}
	if o.only4 && o.only6 {
		return usageError{errors.New("-4 and -6 together leave nothing; give one of them")}
	}
	return nil
}

// portList reads -p. A port without a prefix is a TCP port, and with --udp a
// UDP port too.
func (o *scanOptions) portList() (ports.List, error) {
	list, err := ports.Parse(o.ports)
	if err != nil {
		return list, usageError{fmt.Errorf("-p: %s", strings.NewReplacer("\n", "; ", "port list, ", "").Replace(err.Error()))}
	}
	if list.TCP.Contains(0) || list.UDP.Contains(0) {
		return list, usageError{errors.New("-p: port 0 cannot be reached; begin at 1")}
	}
	if !o.udp && !strings.Contains(o.ports, "U:") {
		list.UDP = ports.Set{}
	}
	if list.IsEmpty() {
		return list, usageError{fmt.Errorf("-p %q selects no port; ports behind U: are UDP, all others TCP", o.ports)}
	}
	return list, nil
}

func (o *scanOptions) run(c *cobra.Command, args []string) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.topPorts > 0 {
		if c.Flags().Changed("ports") {
			return usageError{fmt.Errorf("--top-ports and -p contradict each other; write -p %s,top:%d for both", o.ports, o.topPorts)}
		}
		o.ports = fmt.Sprintf("top:%d", o.topPorts)
	}
	list, err := o.portList()
	if err != nil {
		return err
	}
	excluded, err := o.readConfig()
	if err != nil {
		return err
	}
	opt := targetOptions{exclude: o.exclude,
		excluded: excluded, only4: o.only4, only6: o.only6, authorised: o.authorised, lookup: lookup}
	if o.input != "" {
		if opt.files, err = readTargetFile(o.input, c.InOrStdin()); err != nil {
			return err
		}
	}
	if o.excludeFile != "" {
		if opt.unwanted, err = readTargetFile(o.excludeFile, c.InOrStdin()); err != nil {
			return err
		}
	}
	t, err := resolveTargets(c.Context(), args, opt)
	if err != nil {
		return err
	}
	if err := o.checkInterface(&t); err != nil {
		return err
	}
	chosen := chosenDatabase(&o.database, o.databases)
	db, err := chosen.load()
	if err != nil {
		return err
	}
	return o.scan(c, t, list, db)
}

// readConfig takes from the sensor's configuration who asks and by which
// database, and gives what it excludes.
func (o *scanOptions) readConfig() (config.AddrSet, error) {
	path := o.config
	if path == "" {
		if _, err := os.Stat(systemConfig); errors.Is(err, os.ErrNotExist) {
			return config.AddrSet{}, nil
		}
		path = systemConfig
	}
	cfg, err := loadConfig(path)
	if err != nil {
		return config.AddrSet{}, err
	}
	o.identity, o.sourcePorts, o.database = cfg.Identity, cfg.Discovery.SourcePorts, cfg.Database
	return cfg.Excluded, nil
}
