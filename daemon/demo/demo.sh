#!/usr/bin/env bash
# Starts Sonde on three loopback addresses where nothing listens, then starts,
# changes and stops real servers there, and checks that each change was told:
# in the JSON file, and over UDP to a real rsyslogd. Ends by itself in under a
# minute, and ends only what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."

sonde=$PWD/bin/sonde
sshd=$(command -v sshd || echo /usr/sbin/sshd)
nginx=$(command -v nginx || echo /usr/sbin/nginx)
rsyslogd=$(command -v rsyslogd || echo /usr/sbin/rsyslogd)
redis=$(command -v redis-server || echo /usr/bin/redis-server)
missing=()
for p in "$sshd:openssh-server" "$nginx:nginx-light" "$redis:redis-server" "$rsyslogd:rsyslog"; do
  [ -x "${p%%:*}" ] || missing+=("${p##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "demo: needs real servers; install them with: apt-get install ${missing[*]}" >&2
  exit 1
fi

dir=$(mktemp -d)
declare -A pid=()
stop() { # NAME: ends that process and waits for it
  local p=${pid[$1]:-}
  [ -n "$p" ] || return 0
  kill "$p" 2>/dev/null || true
  wait "$p" 2>/dev/null || true
  unset "pid[$1]"
}
cleanup() {
  for name in "${!pid[@]}"; do stop "$name"; done
  rm -rf "$dir"
}
trap cleanup EXIT

say() { printf '\n== %s\n' "$*"; }
start=$SECONDS

# wait_for WHAT ACTION PATTERN...: until an event of that action matches all
# patterns, for at most 20 s.
wait_for() {
  local what=$1 action=$2 line i
  shift 2
  for i in $(seq 200); do
    line=$(grep -s "\"action\":\"$action\"" "$dir/state/events.json" || true)
    for p in "$@"; do line=$(grep -e "$p" <<<"$line" || true); done
    if [ -n "$line" ]; then
      printf '   told: %s\n' "$(sed -E 's/.*"message":"(([^"\\]|\\.)*)".*/\1/' <<<"$line" | head -n 1)"
      return 0
    fi
    sleep 0.1
  done
  echo "demo: FAILED: no $action for $what within 20 s; events so far:" >&2
  "$sonde" events --state-dir "$dir/state" >&2 || cat "$dir/state/events.json" >&2
  tail -n 20 "$dir/sonde.log" >&2
  exit 1
}

port=$((20000 + $$ % 10000)) # of rsyslogd
mkdir -p "$dir/state" "$dir/www"
cat > "$dir/sonde.toml" <<C
# Short times, so that a minute shows what takes hours in a real network.
[sensor]
state_dir = "$dir/state"
[[watch]]
name = "demo"
targets = ["127.77.0.1", "127.77.0.2", "127.77.0.3"]
tcp_ports = "2222,6379,8080"
udp_ports = ""
discover_every = "2s"
verify_every = "2s"
[confirm]
new_visits = 2
new_spacing = "1s"
changed_visits = 3
changed_over = "3s"
closed_visits = 3
closed_after = "3s"
[output.syslog]
enabled = true
target = "udp://127.0.0.1:$port"
C
"$sonde" check -c "$dir/sonde.toml"

say "a real rsyslogd on udp 127.0.0.1:$port"
cat > "$dir/rsyslog.conf" <<C
global(workDirectory="$dir" maxMessageSize="64k")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="$port")
template(name="parsed" type="string" string="%app-name% %msgid% %syslogseverity-text% %structured-data%%msg%\n")
action(type="omfile" file="$dir/syslog" template="parsed" asyncWriting="off")
C
"$rsyslogd" -n -f "$dir/rsyslog.conf" -i "$dir/rsyslogd.pid" > "$dir/rsyslog.log" 2>&1 &
pid[rsyslogd]=$!

say "the daemon, and nothing listens yet"
"$sonde" run -c "$dir/sonde.toml" 2> "$dir/sonde.log" &
pid[sonde]=$!
wait_for "the first look" watch.baselined demo

say "sshd, nginx and redis-server start"
ssh-keygen -q -t ed25519 -N '' -f "$dir/hostkey"
mkdir -p /run/sshd 2>/dev/null || true
"$sshd" -D -e -f /dev/null -h "$dir/hostkey" -p 2222 -o ListenAddress=127.77.0.1 \
  -o PidFile=none -o UsePAM=no 2> "$dir/sshd.log" &
pid[sshd]=$!
nginx_conf() { # FILE SERVER-LINE
  cat > "$1" <<C
daemon off; pid $1.pid; error_log $dir/nginx.log;
events {}
http {
  access_log off; client_body_temp_path $dir/t1; proxy_temp_path $dir/t2;
  fastcgi_temp_path $dir/t3; uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
  server { listen 127.77.0.2:8080; root $dir/www; $2 }
}
C
}
nginx_conf "$dir/nginx.conf" ""
"$nginx" -c "$dir/nginx.conf" 2> "$dir/nginx.log" &
pid[nginx]=$!
"$redis" --bind 127.77.0.3 --port 6379 --save '' --dir "$dir" > "$dir/redis.log" &
pid[redis]=$!
ssh_version=$("$sshd" -V 2>&1 | grep -o 'OpenSSH_[^ ,]*' || ssh -V 2>&1 | grep -o 'OpenSSH_[^ ,]*')
nginx_version=$("$nginx" -v 2>&1 | grep -o '[0-9.]*$')
redis_version=$("$redis" --version | grep -o 'v=[0-9.]*')
wait_for sshd service.new '127.77.0.1' '"product":"OpenSSH"' "\"version\":\"${ssh_version#OpenSSH_}"
wait_for nginx service.new '127.77.0.2' '"product":"nginx"' "\"version\":\"$nginx_version\""
wait_for redis service.new '127.77.0.3' '"product":"Redis' "\"version\":\"${redis_version#v=}\""

say "redis-server stops"
stop redis
wait_for redis service.gone '127.77.0.3' '"reason":"closed"'

# Another build: the same program with another version string in it.
other=$(awk -F. '{ $NF = ($NF + 1) % 10; print }' OFS=. <<<"$nginx_version")
sed "s#nginx/$nginx_version#nginx/$other#g" "$nginx" > "$dir/nginx-other"
chmod 755 "$dir/nginx-other"
say "nginx $nginx_version makes way for a build that calls itself $other"
stop nginx
"$dir/nginx-other" -c "$dir/nginx.conf" 2>> "$dir/nginx.log" &
pid[nginx]=$!
wait_for nginx service.changed '127.77.0.2' "\"previous\":{[^}]*\"version\":\"$nginx_version\"" \
  "\"endpoint\":{[^}]*\"version\":\"$other\"" '"changed":\[[^]]*"version"' '"change_kind":"version"'

say "the daemon stops"
begin=$SECONDS
stop sonde
[ $((SECONDS - begin)) -le 5 ] || { echo "demo: FAILED: SIGTERM took over 5 s" >&2; exit 1; }

say "what sonde events tells"
"$sonde" events --state-dir "$dir/state"
say "what rsyslogd received and parsed"
cat "$dir/syslog"

count() { grep -c "\"action\":\"$1\"" "$dir/state/events.json" || true; }
syslogged() { grep -c "^sonde $1 " "$dir/syslog" || true; }
fail=0
for want in service.new:3 service.gone:1 service.changed:1 service.baseline:0 \
  sensor.started:1 sensor.stopped:1; do
  action=${want%:*} n=${want#*:}
  for got in "$(count "$action")" "$(syslogged "$action")"; do
    if [ "$got" != "$n" ]; then
      echo "demo: FAILED: $got of $action, want $n" >&2
      fail=1
    fi
  done
done
[ $fail = 0 ] || exit 1
say "demo: all $(grep -c '"seq":' "$dir/state/events.json") events as expected, in $((SECONDS - start)) s"
