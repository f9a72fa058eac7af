#!/usr/bin/env bash
# usage: systemd/package/foreign.sh DIR
# Runs the arm64 program of the package in DIR by qemu: it
# starts, reads its configuration, matches all of its examples with the engines
# that its processor has, and scans loopback.
set -euo pipefail
qemu=$(command -v qemu-aarch64-static) || { echo "arm64: qemu-aarch64-static is not there (Debian: qemu-user-static)"; exit 1; }
work=$(mktemp -d)
listening=
trap '[ -z "$listening" ] || kill "$listening" 2> /dev/null || true; rm -rf "$work"' EXIT
dpkg-deb -x "$1"/*_arm64.deb "$work/root"
sonde() { "$qemu" "$work/root/usr/bin/sonde" "$@"; }
version=$(sonde --version)
sonde check -c "$work/root/etc/sonde/sonde.toml" > "$work/said" || { cat "$work/said"; exit 1; }
tested=$(sonde database test | tail -1)
grep -q 'failed=0' <<< "$tested" || { echo "arm64: $tested"; exit 1; }
# A port that the system chooses; http.server tells it, and begins each answer alike.
python3 -u -m http.server --bind 127.0.0.1 --directory "$work" 0 > "$work/server" 2>&1 &
listening=$!
for _ in $(seq 100); do grep -q ' port ' "$work/server" && break; sleep 0.1; done
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/server" | head -1)
found=$(sonde scan 127.0.0.1 -p "$port" -o json | head -1)
grep -q '"service":"http"' <<< "$found" || { echo "arm64: the scan says $found"; exit 1; }
echo "arm64: $version runs under qemu; $tested; a scan names the http server of loopback"
