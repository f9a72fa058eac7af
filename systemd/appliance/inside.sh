#!/bin/bash
# What appliance.sh runs inside of the container, as root. Each check prints a
# line; "= name value" is for the line at the end.
set -uo pipefail
cd /appliance
export SYSTEMD_PAGER= SYSTEMD_COLORS=0 LC_ALL=C

SECONDS=0
check() { # TEXT COMMAND...
  local text=$1
  shift
  if "$@" > /tmp/said 2>&1; then
    echo "ok: $text (${SECONDS}s)"
  else
    echo "not ok: $text"
    sed 's/^/    /' /tmp/said | tail -15
    journalctl -u sonde --no-pager -n 15 | sed 's/^/    /'
    return 1
  fi
}
# Waits for a command to succeed, for 40 s at most.
await() {
  local i
  for i in $(seq 160); do
    "$@" > /tmp/said 2>&1 && return 0
    sleep 0.25
  done
  "$@"
}
property() { systemctl show -P "$1" sonde; }
active() { [ "$(property ActiveState)/$(property SubState)" = active/running ]; }
same() { [ "$1" = "$2" ] || { echo "is '$1', should be '$2'"; return 1; }; }
status_of() { sed -n "s/^$1:\t*//p" "/proc/$(property MainPID)/status"; }
inventory() { sonde inventory --state-dir /var/lib/sonde -o json; }
endpoints() { inventory | jq -r '[.addr, .port, .service, .product, .version] | @json' | sort; }
events=/var/log/sonde/events.json
told() { jq -e -s "any(.[]; $1)" $events > /dev/null; }
# Each sequence number once and none left out, within each epoch.
gapless() {
  jq -e -s 'map(select(.seq)) | group_by(.epoch) | map(map(.seq) | sort) | all(. as $s | ($s | length) == $s[-1] - $s[0] + 1 and ($s | unique | length) == ($s | length))' $events
}
wait_for_peer() { [ -e /appliance/peer.up ]; }

# 1. A fresh installation: ready, on loopback, and gone without a trace.
find / -xdev \( -path /appliance -o -path /proc -o -path /sys -o -path /tmp \) -prune -o -print | sort > /tmp/before
check "a fresh .deb installs" dpkg -i new.deb
check "the service is active and READY" await active
check "it watches loopback only" test "$(sonde check -c /etc/sonde/sonde.toml | grep -c '^watch')" = 1
check "sonde is found, with its pages and completion" test -s /usr/share/bash-completion/completions/sonde
check "purge" dpkg -P sonde

# Someone new.
source readme.sh

# 2. An older version, then this one.
check "the older .deb installs" dpkg -i old.deb
systemctl stop sonde
cat > /etc/sonde/conf.d/test.toml << 'END'
[output.json]
path = "/var/log/sonde/events.json"
[[watch]]
name = "own"
targets = ["127.0.0.1"]
tcp_ports = "22,2222"
udp_ports = ""
discover_every = "15s"
verify_every = "15s"
END
check "the older version runs" systemctl start sonde
check "it finds this machine's sshd" await told '.action == "watch.baselined"'
check "and has it in its inventory" await grep -q ssh <(endpoints)
endpoints > /tmp/old
check "the upgrade" dpkg -i new.deb
check "the new version is active" await active
check "the old store was copied before" await test -s /var/lib/sonde/sonde.db.schema2
endpoints > /tmp/new
upgrade=no
check "the inventory is the same" cmp /tmp/old /tmp/new && check "no event is lost or doubled" await gapless && upgrade=yes

# 3. The service as it is confined.
cat > /etc/sonde/conf.d/newer.toml << 'END'
[[watch]]
name = "net"
targets = ["198.18.77.2"]
tcp_ports = "22,8080,8443,9090"
udp_ports = "123"
discover_every = "10m"
verify_every = "10m"
[output.journal]
enabled = true
[[output.syslog]]
name = "datagrams"
enabled = true
target = "udp://198.18.77.2:514"
[[output.syslog]]
name = "stream"
enabled = true
target = "tcp://198.18.77.2:601"
[[output.syslog]]
name = "tls"
enabled = true
target = "tls://198.18.77.2:6514"
ca = "/etc/sonde/ca.crt"
certificate = "/etc/sonde/sensor.crt"
key = "credential:sonde-key"
END
install -m 644 ca.crt sensor.crt /etc/sonde
install -m 600 sensor.key /etc/sonde # of root; the service gets a copy
mkdir -p /etc/systemd/system/sonde.service.d
python3 readme.py README.md readme.done --file LoadCredential= > /etc/systemd/system/sonde.service.d/key.conf
python3 readme.py README.md readme.done --file 'name = "office"' > /tmp/office.toml
check "README: the watch with more of its keys is understood" sonde check -c /tmp/office.toml
systemctl daemon-reload
check "the network's other end is up" await wait_for_peer
check "restart with TLS keys as credentials" systemctl restart sonde
ready=no
check "active and READY" await active && ready=yes
echo "= ready $ready"
check "STATUS says what it does" grep -q "2 watches, discovery by syn" <<< "$(property StatusText)"
check "it runs as its own user" same "$(stat -c %U "/proc/$(property MainPID)")" sonde
caps=$(capsh --decode="$(status_of CapEff)" | cut -d= -f2)
check "exactly one capability" same "$caps $(status_of CapBnd) $(status_of CapPrm)" "cap_net_raw $(status_of CapEff) $(status_of CapEff)"
echo "= caps $caps"
check "seccomp filters its calls" same "$(status_of Seccomp)" 2
check "no new privileges" same "$(status_of NoNewPrivs)" 1
exposure=$(systemd-analyze security sonde.service --no-pager | sed -n 's/.*Overall exposure level for sonde.service: \([0-9.]*\).*/\1/p')
check "exposure is 1.6 at most" jq -ne "$exposure <= 1.6"
echo "= exposure $exposure"
check "sonde@.service is as confined" test -n "$(systemd-analyze security sonde@x.service --no-pager | grep 'level.*: 1\.[0-6] ')"
if [ -e lab.toml ]; then # it takes its time while other checks go on
  mkdir -p /etc/sonde/lab
  cp lab.toml /etc/sonde/lab/sonde.toml
  check "an instance begins to look at the lab" systemctl start sonde@lab
fi
check "files are the group's to read, and nobody else's" same "$(stat -c '%a %U:%G' /var/lib/sonde /var/log/sonde $events | tr '\n' ' ')" "750 sonde:sonde 750 sonde:sonde 640 sonde:sonde "

# 4. All parts work in there.
check "SYN sweeps find the servers" await told '.action == "watch.baselined" and (.message | contains("net: first look at its TCP"))'
check "datagrams find the clock" await eval 'endpoints | grep -q "123,\"ntp\""'
touch start-9090
sleep 1
exec 3<> /dev/tcp/198.18.77.2/9090 && printf 'HEAD / HTTP/1.0\r\n\r\n' >&3 && cat <&3 > /dev/null
exec 3>&-
check "what listening saw is told within a minute, of ten to the next sweep" await told '.action == "service.new" and .endpoint.port == 9090'
/usr/sbin/sshd -p 2222 -o PidFile=/run/sshd-2222.pid
check "a service that starts here is in $events" await told '.action == "service.new" and .endpoint.port == 2222 and .endpoint.service == "ssh"'
check "the journal has it, as fields" await test -n "$(journalctl -o json SONDE_ACTION=service.new | jq -r 'select(.SONDE_PORT == "2222") | .SONDE_EVENT' | jq -r .id)"
check "the journal's fields are the service's own" test -n "$(journalctl -o json _SYSTEMD_UNIT=sonde.service SONDE_ACTION=service.new)"
check "syslog over UDP has it" await grep -q 'service.new.*2222' syslog.udp
check "syslog over TCP has it" await grep -q 'service.new.*2222' syslog.tcp
check "syslog over TLS with the key of a credential has it" await grep -q 'service.new.*2222' syslog.tls
sonde inventory --state-dir /var/lib/sonde -o json | jq -c 'select(.addr == "198.18.77.2")' > inventory.json

# 5. Reload.
pid=$(property MainPID)
known=$(endpoints | wc -l)
check "reload" systemctl reload sonde
check "the same process goes on with its state" await eval 'active && same "$(property MainPID) $(endpoints | wc -l)" "$pid $known"'
echo 'mistake = 1' > /etc/sonde/conf.d/zz.toml
check "a configuration with mistakes fails the reload" eval '! systemctl reload sonde'
check "and the old one stays" eval 'active && same "$(property MainPID)" "$pid"'
rm /etc/sonde/conf.d/zz.toml

check "systemd knows every key of the units" eval '! journalctl -b | grep "sonde.*Unknown key"'

# 6. Backup and restore.
check "backup while it runs" sonde backup -c /etc/sonde/sonde.toml /tmp/backup.db
check "the backup is whole" sonde check --state /tmp/backup.db
endpoints > /tmp/kept
systemctl stop sonde
rm -f /var/lib/sonde/sonde.db /var/lib/sonde/sonde.db-*
check "restore" sonde restore -c /etc/sonde/sonde.toml /tmp/backup.db
check "start after a restore" systemctl start sonde
check "the inventory is back" eval 'await active && endpoints | cmp - /tmp/kept'

# 7. The watchdog.
# Of each kind of loop one hangs: the sensor's own, one of the visits, an output's,
# the sender of a sweep.
install -m 755 sonde-hangs /usr/local/bin/sonde-hangs
watchdog=restarted
cat > /etc/sonde/conf.d/often.toml << 'END'
[[watch]]
name = "often"
zone = "again"
targets = ["198.18.77.2"]
tcp_ports = "81"
udp_ports = ""
discover_every = "15s"
verify_every = "15s"
END
for point in store.apply.before:2 visit.open.before:2 json.write.before:1 sweep.packet.before:1; do
  cat > /etc/systemd/system/sonde.service.d/hang.conf << END
[Service]
ExecStart=
ExecStart=/usr/local/bin/sonde-hangs run -c /etc/sonde/sonde.toml
Environment=SONDE_FAULT=$point:hang
WatchdogSec=6
RestartSec=1
END
  systemctl daemon-reload
  journalctl --rotate --vacuum-time=1s > /tmp/said 2>&1
  systemctl restart sonde
  check "a loop that hangs at $point gets the service restarted" await eval '[ "$(property NRestarts)" -ge 1 ] && journalctl -u sonde | grep -q "Watchdog timeout"' || watchdog=no
done
echo "= watchdog $watchdog"
rm /etc/sonde/conf.d/often.toml /etc/systemd/system/sonde.service.d/hang.conf /usr/local/bin/sonde-hangs
systemctl daemon-reload
check "it works again" eval 'systemctl restart sonde && await active'
check "no event is lost or doubled" await gapless

# More memory than there is: the kernel kills it amid a reload, which needs more. The
# cgroup is one outside, as this systemd has none of memory to give.
if [ -e memory.able ]; then
  endpoints > /tmp/kept
  pid=$(property MainPID)
  echo "$pid" > memory.pid
  check "outside leaves it 4 MiB more than it has" await test -e memory.bound
  systemctl reload sonde
  check "out of memory, it is killed and started again" await eval 'active && [ "$(property MainPID)" != "$pid" ]'
  check "with its inventory" eval 'endpoints | cmp - /tmp/kept'
  check "and a store that is whole" eval 'sonde backup -c /etc/sonde/sonde.toml /tmp/memory.db && sonde check --state /tmp/memory.db'
  check "no event is lost or doubled" await gapless
fi

# 8. Up and down.
check "the upgrade of the upgrade" dpkg -i newer.deb
check "active" await active
endpoints > /tmp/kept
mv /etc/sonde/conf.d/newer.toml /tmp # which has keys that the older version does not know
dpkg -i old.deb > /tmp/said 2>&1
refused() { journalctl -u sonde -n 40 | grep -q 'schema2'; }
check "the older version refuses the newer store and names the way back" await refused || upgrade=no
check "the way back, as the README says" eval 'python3 readme.py README.md readme.done --with schemaN | sed "s/^sudo //; s/schemaN/schema2/" | bash -ex && await active' || upgrade=no
check "has what was known then" eval 'endpoints > /tmp/back; comm -23 /tmp/old /tmp/back | grep . && exit 1 || true' || upgrade=no
systemctl stop sonde
rm -f /var/lib/sonde/sonde.db /var/lib/sonde/sonde.db-*
mv /var/lib/sonde/newer/* /var/lib/sonde
rmdir /var/lib/sonde/newer
mv /tmp/newer.toml /etc/sonde/conf.d
check "and up again with the newer store" eval 'dpkg -i newer.deb && systemctl start sonde && await active' || upgrade=no
check "with all that was known" eval 'endpoints | cmp - /tmp/kept' || upgrade=no
echo "= upgrade $upgrade"

# 9. Further instances, and one that strangers try to fill.
source instances.sh

# 10. The sockets of control, opened by systemd.
useradd --system -G sonde asker
useradd --system -G sonde,sonde-admin actor
as() { setpriv --reuid "$1" --regid sonde --init-groups "${@:2}"; }
check "the daemon's own socket answers" eval 'sonde status -c /etc/sonde/sonde.toml | grep -w net'
systemctl stop sonde
check "systemd opens the sockets" systemctl enable --now sonde-read.socket sonde-act.socket
check "the service takes them" eval 'systemctl start sonde && await active'
check "their groups are who may ask, and who may act" same "$(stat -c '%a %G' /run/sonde/read.sock /run/sonde/act.sock | tr '\n' ' ')" "660 sonde 660 sonde-admin "
check "who may ask is answered" eval 'as asker sonde status -c /etc/sonde/sonde.toml | grep -w net'
check "but may not act" eval '{ as asker sonde pause -c /etc/sonde/sonde.toml net 2>&1 || true; } | grep "permission denied"'
check "who may act is obeyed" as actor sonde pause -c /etc/sonde/sonde.toml net
systemctl disable --now sonde-read.socket sonde-act.socket > /tmp/said 2>&1
userdel asker
userdel actor

# 11. Remove, and purge.
kill "$(cat /run/sshd-2222.pid)"
rm -rf /etc/systemd/system/sonde.service.d
check "remove keeps state and configuration" eval 'dpkg -r sonde && test -s /var/lib/sonde/sonde.db -a -s /etc/sonde/sonde.toml'
dpkg -P sonde > /tmp/said 2>&1
systemctl daemon-reload
find / -xdev \( -path /appliance -o -path /proc -o -path /sys -o -path /tmp \) -prune -o -print | sort > /tmp/after
left=$(comm -13 /tmp/before /tmp/after | grep -i sonde)
purge=no
check "purge leaves nothing" eval 'test -z "$left" && ! getent passwd sonde && ! getent group sonde' && purge=clean
[ -z "$left" ] || echo "    left: $left"
echo "= purge $purge"

# 12. The other package.
systemctl daemon-reload
source rpm.sh
echo "ok: the end"
