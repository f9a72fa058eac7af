# Part of inside.sh: instances of sonde@.service beside the first service.

# One instance: its name, and the rest of its configuration.
instance() {
  mkdir -p "/etc/sonde/$1/conf.d"
  cat > "/etc/sonde/$1/sonde.toml"
}
of() { systemctl show -P "$2" "sonde@$1"; }
says() { # NAME WORD: in what its status tells, be all promises kept or not
  local told
  told=$(sonde status -c "/etc/sonde/$1/sonde.toml")
  echo "$told"
  grep -qw "$2" <<< "$told"
}
sees() { sonde inventory --state-dir "/var/lib/sonde/$1" -o json | jq -e -s "any(.[]; $2)" > /dev/null; }

instance site << 'END'
[discovery]
method = "connect"
[[watch]]
name = "site"
targets = ["198.18.77.2"]
tcp_ports = "8080"
udp_ports = "123"
END
check "an instance that is told to use connections" systemctl start sonde@site
check "with directories of its own" await test -s /var/log/sonde/site/events.json -a -s /var/lib/sonde/site/sonde.db
check "finds the server" await sees site '.port == 8080 and .product == "nginx"'
check "and the clock" await sees site '.port == 123 and .service == "ntp"'
check "by connections, as it says" says site connect

twin() { # NAME: an instance with source ports of its own
  instance "$1" << 'END'
[discovery]
source_ports = "62512-62767"
[[watch]]
name = "twin"
targets = ["198.18.77.2"]
tcp_ports = "8080"
udp_ports = ""
END
}
twin twin
check "one with other source ports" systemctl start sonde@twin
check "two sweep side by side" await sees twin '.port == 8080 and .product == "nginx"'
check "by packets both" eval 'says twin syn && says . syn'
twin rival
systemctl start sonde@rival
check "one with the source ports of another is told to take others" await eval 'journalctl -u sonde@rival | grep -q "set discovery.source_ports to others"'
check "a backup of an instance is its own" eval 'sonde backup -c /etc/sonde/twin/sonde.toml /tmp/twin.db && sonde check --state /tmp/twin.db && same "$(sonde inventory -c /etc/sonde/twin/sonde.toml -o json | jq -s length)" 1'
check "and the first is untouched" eval 'active && says . net'
systemctl stop sonde@site sonde@twin sonde@rival

# 200 ports, each of which sends without an end, 100 conversations at once: far
# below MemoryMax=2G and TasksMax=256.
instance flood << 'END'
[limits]
host_connections = 200
host_new_connections_per_second = 1000
host_packets_per_second = 1000
connections = 1000
[discovery]
source_ports = "62512-62767"
[[watch]]
name = "flood"
targets = ["198.18.77.2"]
tcp_ports = "20000-20199"
udp_ports = ""
discover_every = "1h"
verify_every = "1h"
best_effort = true
END
check "an instance looks at 200 ports that send without an end" systemctl start sonde@flood
check "and comes to its end" await grep -q watch.baselined /var/log/sonde/flood/events.json
flooded=/proc/$(of flood MainPID)/status
memory=$(($(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "$flooded") / 1024))
threads=$(sed -n 's/^Threads:[^0-9]*//p' "$flooded")
check "within a quarter of the unit's limits ($memory MiB, $threads tasks)" test "$memory" -lt 512 -a "$threads" -lt 64
check "without a restart" same "$(of flood NRestarts)" 0
systemctl stop sonde@flood

# The lab, which the instance has looked at meanwhile.
if [ -e lab.toml ]; then
  looked() { [ "$(jq -s 'map(select(.action == "watch.baselined")) | length' /var/log/sonde/lab/events.json)" -ge 2 ]; }
  check "the lab is looked at, TCP and UDP" await looked
  check "by packets of its own" says lab syn
  sonde inventory --state-dir /var/lib/sonde/lab -o json > lab.json
  systemctl stop sonde@lab
fi
