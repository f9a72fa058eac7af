#!/usr/bin/env bash
# usage: systemd/package/reproduce.sh
# Builds the packages of what is committed twice, in two places, at different times
# of day by the clock's zone, with another umask and nothing in Go's cache, and
# compares them.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
version=$(git describe --tags --always)
for n in 1 2; do
  git clone -q . "$work/place$n"
done
(cd "$work/place1" && VERSION=$version systemd/package/package.sh "$work/out1" amd64 > "$work/log1" 2>&1) ||
  { cat "$work/log1"; exit 1; }
(umask 077 && mkdir "$work/a b" && mv "$work/place2" "$work/a b/place" && cd "$work/a b/place" &&
  env VERSION="$version" GOCACHE="$work/cache" TZ=Pacific/Chatham LC_ALL=C.UTF-8 \
    systemd/package/package.sh "$work/out2" amd64 > "$work/log2" 2>&1) || { cat "$work/log2"; exit 1; }
cd "$work/out1"
for p in *; do
  cmp "$p" "$work/out2/$p"
  sha256sum "$p"
done
[ "$(ls | wc -l)" = "$(ls "$work/out2" | wc -l)" ]
echo "reproducible: yes"
