#!/usr/bin/env bash
# Scans a lab of real servers and matches recorded answers, and grades both:
# no wrong product may be named, and no fewer right ones than the floors below.
# The lab and the answers are not part of this repository; $SONDE_SHARED (by
# default ../shared) says where they are. Without them, or without root, it
# says so and ends; with SONDE_CI set that is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
shared=${SONDE_SHARED:-$PWD/../shared}
sonde=$PWD/bin/sonde

skip() {
  echo "lab: skipped: $*" >&2
  [ -z "${SONDE_CI:-}" ] || exit 1
  exit 0
}
[ -x "$shared/lab/up.sh" ] || skip "no lab at $shared/lab"
[ -x "$shared/corpus/grade.py" ] || skip "no recorded answers at $shared/corpus"
[ "$(id -u)" = 0 ] || skip "network namespaces need root"

# Floors: what this version reaches, less what a slow machine may miss.
min_tcp_products=127 min_udp_products=19 min_answers=3100 min_services=158

dir=$(mktemp -d)
ours=no # whether the lab was started here
cleanup() {
  [ $ours = no ] || "$shared/lab/down.sh" > /dev/null
  rm -rf "$dir"
}
trap cleanup EXIT
state=${LAB_STATE:-/var/tmp/sonde-lab}
# A lab whose servers are dead, as after a reboot, is begun anew; so is every
# one on CI.
stale=${SONDE_CI:-}
for f in "$state"/run/*/pid; do
  [ -e "$f" ] || continue
  status=/proc/$(cat "$f")/status
  if [ ! -e "$status" ] || grep -q '^State:.*Z' "$status"; then
    stale=yes
  fi
done
[ -z "$stale" ] || "$shared/lab/down.sh" > /dev/null || true
ip netns list 2>/dev/null | grep -qw lab || ours=yes
"$shared/lab/up.sh" train > "$dir/up" 2>&1 || { tail -n 20 "$dir/up" >&2; exit 1; }
tail -n 3 "$dir/up"
python3 "$shared/lab/lab.py" truth train

ports=$(python3 - "$state/truth.json" <<'P'
import json, sys
truth = json.load(open(sys.argv[1]))
print(*("%s:%s" % (letter, ",".join(map(str, sorted({t["port"] for t in truth if t["proto"] == name}))))
        for letter, name in (("T", "tcp"), ("U", "udp"))), sep=",")
P
)
hosts=$(python3 -c 'import json,sys; t=json.load(open(sys.argv[1])); print(*sorted({x["addr"] for x in t}))' "$state/truth.json")
start=$SECONDS
# shellcheck disable=SC2086 # one argument per host
ip netns exec lab "$sonde" scan $hosts -p "$ports" --credentials --include-held --industrial \
  -o json > "$dir/scan.json"
echo "lab: scanned in $((SECONDS - start)) s"
python3 "$shared/lab/grade.py" "$dir/scan.json"
for p in tcp udp; do
  python3 "$shared/lab/grade.py" --json -p $p "$dir/scan.json" | tail -n 1 > "$dir/$p.json"
done
# nmap takes our database for its own, and names servers by it.
"$sonde" database export > "$dir/sonde.probes"
server() { # the lab's server of a box
  python3 -c 'import json,sys; print(*{t["addr"] for t in json.load(open(sys.argv[1])) if t["box"] == sys.argv[2]})' "$state/truth.json" "$1"
}
if command -v nmap > /dev/null; then
  ip netns exec lab nmap -n -Pn -sT -sV --versiondb "$dir/sonde.probes" -p 22,25,80 \
    "$(server openssh)" "$(server nginx)" "$(server postfix)" > "$dir/nmap"
  for want in '22/tcp +open +ssh +OpenSSH 9' '80/tcp +open +http +nginx 1' '25/tcp +open +smtp +Postfix'; do
    grep -qE "^$want" "$dir/nmap" || { cat "$dir/nmap" >&2; echo "lab: nmap does not say $want" >&2; exit 1; }
  done
  echo "lab: nmap names ssh, http and smtp by our database"
elif [ -n "${SONDE_CI:-}" ]; then
  echo "lab: there is no nmap" >&2
  exit 1
fi
# The parts that speak with single servers.
go test -count=1 -tags lab -run 'TestLab|TestScanReadsCertificates' \
  ./probes/rpc ./probes/starttls ./daemon
"$shared/corpus/grade.py" | tail -n 1 | tee "$dir/answers"

python3 - "$dir" $min_tcp_products $min_udp_products $min_answers $min_services <<'P'
import json, re, sys
d, floors = sys.argv[1], list(map(int, sys.argv[2:]))
tcp, udp = (json.load(open(f"{d}/{p}.json")) for p in ("tcp", "udp"))
answers = int(re.search(r"right=(\d+)", open(f"{d}/answers").read())[1])
wrong = sum(x[k].get("wrong", 0) for x in (tcp, udp) for k in ("service", "product", "version"))
services = sum(x["service"].get("right", 0) for x in (tcp, udp))
right = [tcp["product"].get("right", 0), udp["product"].get("right", 0), answers, services]
print(f"lab: tcp_products={right[0]} udp_products={right[1]} wrong={wrong} answers={right[2]} services={right[3]}")
sys.exit(wrong > 0 or any(r < f for r, f in zip(right, floors)))
P
