#!/usr/bin/env bash
# usage: systemd/appliance/appliance.sh
# Boots a Debian in a container, installs the package as an operator would, and
# checks from inside that it is what it promises: ready, confined, watched,
# upgraded and downgraded without a loss, purged without a trace. Ends with one
# line that says so. As root; needs debootstrap, systemd-nspawn, git and Go.
#
# APPLIANCE_CACHE (default: a folder in $TMPDIR or /tmp) keeps the bare Debian
# between runs. Packets go no further than two network namespaces of its own, and
# the lab's where there is one: then the service scans it in its sandbox, and must
# see what a scan outside sees. SONDE_SHARED (default ../shared) says where the lab
# is; with SONDE_CI set it is started for that.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/systemd/appliance
cache=${APPLIANCE_CACHE:-${TMPDIR:-/tmp}/sonde-appliance-cache}
mirror=${APPLIANCE_MIRROR:-http://deb.debian.org/debian}
go=${GO:-go}

# The last commit whose store has schema 2: the upgrade begins there.
old_commit=e7af8c8

die() { echo "appliance: $*" >&2; exit 1; }
# Nothing is known of the package then, neither good nor bad: exit code 77.
cannot() { echo "appliance: NOT RUN: $*" >&2; exit 77; }
[ "$(id -u)" = 0 ] || cannot "needs root"
for c in debootstrap systemd-nspawn ip openssl python3 git make script setpriv; do
  command -v "$c" > /dev/null || cannot "needs $c (see .ci/run)"
done
git cat-file -e "$old_commit^{commit}" 2> /dev/null || cannot "no commit $old_commit: a shallow clone?"

shared=${SONDE_SHARED:-$PWD/../shared}
net=sonde-app-$$ peer=sonde-peer-$$ lab_end=app$$ lab_started=
memory=/sys/fs/cgroup/memory/sonde-app-$$
work=$(mktemp -d -p "${TMPDIR:-/tmp}" sonde-appliance.XXXXXX)
started=()
cleanup() {
  for p in "${started[@]}"; do kill "$p" 2> /dev/null || true; done
  rmdir "$memory" 2> /dev/null || true
  ip netns del "$net" 2> /dev/null || true
  ip netns del "$peer" 2> /dev/null || true
  [ -z "$lab_started" ] || "$shared/lab/down.sh" > /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# The bare system, made once.
include=systemd,systemd-sysv,dbus,iproute2,procps,jq,libcap2-bin,openssh-server,sudo,curl,python3-minimal,rpm
base=$cache/bookworm-2
if [ ! -e "$base.done" ]; then
  echo "appliance: debootstrap into $cache"
  rm -rf "$base"
  mkdir -p "$cache"
  debootstrap --variant=minbase --include=$include bookworm "$base" "$mirror" > "$work/debootstrap.log" 2>&1 ||
    { tail -20 "$work/debootstrap.log"; cannot "debootstrap failed"; }
  rm -f "$base"/var/cache/apt/archives/*.deb
  touch "$base.done"
fi
root=$work/root
cp -a --reflink=auto "$base" "$root"

# The packages: as it is now, the same under a higher version, and an older one.
export LC_ALL=C
share=$work/share
mkdir -p "$share" "$work/old"
pack() { # NAME VERSION BINARY
  PACKAGE_VERSION=$2 BINARY=$3 DOCS_BINARY=$work/sonde PACKAGERS="deb rpm" systemd/package/package.sh "$work/pack-$1" "$(go env GOARCH)" > "$work/$1.log" 2>&1 ||
    { cat "$work/$1.log"; die "no package $1"; }
  cp "$work/pack-$1"/*.deb "$share/$1.deb"
  cp "$work/pack-$1"/*.rpm "$share/$1.rpm"
}
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
$go build -trimpath -ldflags "-s -w -X main.version=1.0.0" -o "$work/sonde" ./daemon
$go build -trimpath -tags faultpoints -ldflags "-s -w" -o "$share/sonde-hangs" ./daemon
git archive "$old_commit" | tar -x -C "$work/old" 
(cd "$work/old" && $go build -trimpath -ldflags "-s -w -X main.version=0.9.0" -o "$work/sonde-old" ./daemon)
pack new 1.0.0 "$work/sonde"
pack newer 1.0.1 "$work/sonde"
pack old 0.9.0 "$work/sonde-old"

# The network: the container in one namespace, servers and receivers in another.
ip netns add "$net"
ip netns add "$peer"
ip link add sonde0 netns "$net" type veth peer name peer0 netns "$peer"
ip -n "$net" addr add 198.18.77.1/24 dev sonde0
ip -n "$peer" addr add 198.18.77.2/24 dev peer0
for n in "$net:lo" "$net:sonde0" "$peer:lo" "$peer:peer0"; do ip -n "${n%:*}" link set "${n#*:}" up; done

# The lab, by an end of its own on the lab's bridge.
truth=${LAB_STATE:-/var/tmp/sonde-lab}/truth.json
has_lab() { ip netns list | grep -qw lab && ip -n lab link show br0 > /dev/null 2>&1; }
if ! has_lab && [ -n "${SONDE_CI:-}" ] && [ -x "$shared/lab/up.sh" ]; then
  lab_started=yes
  "$shared/lab/down.sh" > /dev/null || true # what an earlier boot left
  "$shared/lab/up.sh" train > "$work/lab.log" 2>&1 || { tail -20 "$work/lab.log"; die "the lab does not start"; }
fi
if has_lab && [ -x "$shared/lab/up.sh" ]; then
  python3 "$shared/lab/lab.py" truth train > "$work/lab.log"
  ip link add lab0 netns "$net" type veth peer name "$lab_end" netns lab
  ip -n lab link set "$lab_end" master br0 up
  ip -n "$net" addr add 198.18.0.9/15 dev lab0
  ip -n "$net" addr add 2001:db8::9/64 dev lab0 nodad
  ip -n "$net" link set lab0 up
  python3 "$here/lab.py" config "$truth" > "$share/lab.toml"
else
  echo "appliance: there is no lab here: the service is held against three servers only"
fi

mkdir "$work/tls"
cd "$work/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=appliance-ca \
  -keyout ca.key -out ca.crt 2> /dev/null
for name in server sensor; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$name -keyout $name.key -out $name.csr 2> /dev/null
  printf 'subjectAltName=IP:198.18.77.2\n' > ext
  openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out $name.crt 2> /dev/null
done
cp ca.crt sensor.crt sensor.key "$share"
cd "$work"
in_peer() { ip netns exec "$peer" "$@" > /dev/null 2>&1 & started+=($!); }
in_peer python3 "$here/peer.py" "$work/tls" "$share"

# A bound on memory that is hit. Where the machine's memory is divided by cgroups of
# the second version it would be the unit's own, but no such machine was there to
# try it on.
bound() { # waits for the service's number inside, and binds what it takes from then on
  local s pid=
  until [ -s "$share/memory.pid" ]; do sleep 0.2; done
  for s in /proc/[0-9]*/status; do
    grep -q "^NSpid:.*[[:space:]]$(cat "$share/memory.pid")\$" "$s" 2> /dev/null || continue
    [ "$(stat -Lc %i "${s%status}ns/net")" = "$(stat -Lc %i "/run/netns/$net")" ] && pid=$(basename "${s%/status}")
  done
  echo "$pid" > "$memory/cgroup.procs"
  echo $((4 << 20)) > "$memory/memory.limit_in_bytes"
  touch "$share/memory.bound"
}
if mkdir "$memory" 2> /dev/null && [ -e "$memory/memory.limit_in_bytes" ]; then
  touch "$share/memory.able"
  bound > "$work/bound.log" 2>&1 &
  started+=($!)
else
  echo "appliance: no cgroup of memory can be made here: the service is not run out of it"
fi

# What a new user builds from the sources, meanwhile.
: > "$share/readme.done"
chmod 666 "$share/readme.done"
"$here/build.sh" "$share/readme.done" > "$work/build.log" 2>&1 &
building=$!
started+=("$building")

# In a private name space of mounts /run/systemd is a tmpfs, which nspawn wants
# and not every machine that has no systemd has.
cp "$here/inside.sh" "$here/instances.sh" "$here/readme.sh" "$here/readme.py" "$here/rpm.sh" "$here/../../README.md" "$share"
cat > "$root/etc/systemd/system/appliance.service" << 'END'
[Unit]
After=multi-user.target dbus.service
[Service]
Type=oneshot
ExecStart=/bin/bash /appliance/inside.sh
StandardOutput=append:/appliance/log
StandardError=append:/appliance/log
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=default.target
END
mkdir -p "$root/etc/systemd/system/default.target.wants"
ln -s /etc/systemd/system/appliance.service "$root/etc/systemd/system/default.target.wants/appliance.service"
: > "$share/log"
tail -f "$share/log" &
started+=($!)
timeout 400 unshare --mount --propagation private sh -c '
  mkdir -p /run/systemd && mount -t tmpfs tmpfs /run/systemd &&
  exec systemd-nspawn -q --register=no --keep-unit --boot --console=pipe \
    --network-namespace-path="/run/netns/$1" --bind="$2:/appliance" -D "$3"' \
  sh "$net" "$share" "$root" < /dev/null > "$work/nspawn.log" 2>&1 || {
  cat "$work/nspawn.log"
  [ -s "$share/log" ] || cannot "no container boots on this machine"
  die "the container ended badly"
}
sleep 0.2 # for tail

grep -q '^ok: the end$' "$share/log" || die "the checks did not come to their end"
! grep '^not ok' "$share/log" > /dev/null || die "some checks failed"

built=ok
wait "$building" || built=no
cat "$work/build.log"
[ $built = ok ] || die "a new user cannot build from the sources"
rest=$(python3 "$here/readme.py" "$here/../../README.md" "$share/readme.done" --rest) || die "README: $rest"
echo "ok: each of the README's $rest was followed, or is a picture"

if [ -e "$share/memory.able" ]; then
  cat "$work/bound.log"
  grep -q '^oom_kill [1-9]' "$memory/memory.oom_control" || die "the service was not killed for want of memory"
  echo "ok: the kernel had killed it for want of memory"
fi

# The same from outside the sandbox: the same answers?
ip netns exec "$net" "$work/sonde" scan 198.18.77.2 -p T:22,8080,8443,9090,U:123 -o json > "$work/scan.json"
facts='select(.state == "open") | [.port, .service, .product, .version, .info, .tls[0].cert.sha256] | @json'
jq -r "$facts" "$work/scan.json" | sort > "$work/outside"
jq -r "$facts" "$share/inventory.json" | sort > "$work/inside"
diff "$work/outside" "$work/inside" || die "in its sandbox the service sees something else than outside"
[ -s "$work/outside" ] || die "nothing was found"
echo "ok: $(wc -l < "$work/outside") services look the same from inside the sandbox and outside"
if [ -e "$share/lab.toml" ]; then
  # shellcheck disable=SC2046 # one argument per word
  ip netns exec "$net" "$work/sonde" scan $(python3 "$here/lab.py" scan "$truth") -o json > "$work/lab.json"
  python3 "$here/lab.py" compare "$truth" "$work/lab.json" "$share/lab.json" ||
    die "in its sandbox the service sees something else of the lab than outside"
fi
value() { sed -n "s/^= $1 //p" "$share/log" | tail -1; }
echo "appliance: ready=$(value ready) exposure=$(value exposure) caps=$(value caps) watchdog=$(value watchdog) upgrade=$(value upgrade) purge=$(value purge)"
