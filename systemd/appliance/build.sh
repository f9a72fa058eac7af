#!/usr/bin/env bash
# usage: systemd/appliance/build.sh LEDGER
# Follows "Build and try" of the README: each command as it is written, in a clone
# of what is committed, as a user who may do nothing, in a network of loopback
# alone. What the compiler made before is lent to that user, unseen by others. As
# root; needs git, make, unshare, setpriv and Go.
set -euo pipefail
cd "$(dirname "$0")/../.."
ledger=$1
work=$(mktemp -d -p "${TMPDIR:-/tmp}" sonde-readme.XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
python3 systemd/appliance/readme.py README.md "$ledger" "Build and try" > "$work/commands"
git clone -q . "$work/clone"
mkdir "$work"/{home,upper,work}
mkdir "$work"/upper/{0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f}{0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f}
chown -R nobody "$work"/{clone,home,upper}

touch "$work/home/run"
chown nobody "$work/home/run"

cat > "$work/follow" << 'END'
set -euo pipefail
while read -r line; do
  case $line in
  "make build && make test"*) # the second half takes minutes
    make build
    grep -q '^make build && make test' .ci/run || { echo "who runs make test?"; exit 1; } ;;
  "make run"*) # on a terminal, until Ctrl-C there
    {
      for i in $(seq 120); do grep -q "first look.*complete" "$HOME/run" && break; sleep 0.5; done
      printf '\003'
      sleep 1
    } | script -qfc "$line" "$HOME/run" || true
    grep "first look.*complete" "$HOME/run"
    grep "sensor stopped" "$HOME/run" ;;
  *) eval "$line" ;;
  esac < /dev/null > "$HOME/said" 2>&1 || { echo "not ok: README, Build and try: $line"; tail -20 "$HOME/said" | sed 's/^/    /'; exit 1; }
  echo "ok: README, Build and try: $line"
done < "$HOME/../commands"
END
go=${GO:-go}
if ! setpriv --reuid=nobody --regid=nogroup --clear-groups test -x "$($go env GOROOT)/bin/go"; then
  echo "README, Build and try: NOT RUN: other users may not enter $($go env GOROOT)"
  exit 0
fi
cache=$($go env GOCACHE) modules=$($go env GOMODCACHE) tools=$($go env GOROOT)
# shellcheck disable=SC2016 # the inner shell's own variables
unshare --mount --net --propagation private bash -euc '
  work=$1 cache=$2 modules=$3 path=$4
  ip link set lo up
  mkdir "$work/modules" "$work/cache"
  mount --bind "$modules" "$work/modules"
  mount -t overlay overlay -o "lowerdir=$cache,upperdir=$work/upper,workdir=$work/work" "$work/cache" ||
    echo "the compiler begins with nothing, as what it made before cannot be lent"
  chown nobody "$work/cache"
  cd "$work/clone"
  exec setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
    env -i HOME="$work/home" PATH="$path" GOCACHE="$work/cache" GOMODCACHE="$work/modules" \
    GOPROXY=off GOTOOLCHAIN=local LC_ALL=C.UTF-8 bash "$work/follow"' \
  sh "$work" "$cache" "$modules" "$tools/bin:/usr/bin:/bin:/usr/sbin:/sbin"
