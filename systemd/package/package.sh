#!/usr/bin/env bash
# usage: systemd/package/package.sh OUT ARCH...
# Builds the .deb and the .rpm of each architecture (amd64, arm64) into OUT. The
# same sources give the same bytes, wherever and whenever they are built.
# With BINARY set, that program is packed instead of one that is built here, under
# PACKAGE_VERSION, with the documents of the program DOCS_BINARY. PACKAGERS are deb
# and rpm.
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 022
export LC_ALL=C TZ=UTC CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local

out=$1
shift
go=${GO:-go}
tool() { GOOS= GOARCH= $go tool -modfile=.tools/package/go.mod "$@"; }

VERSION=${VERSION:-$(git describe --tags --always --dirty)}
COMMIT=${COMMIT:-$(git rev-parse HEAD)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
# Before the first release a version is a date, so that newer is higher.
if [ -z "${PACKAGE_VERSION:-}" ]; then
  case $VERSION in
  v[0-9]*) PACKAGE_VERSION=$(printf %s "${VERSION#v}" | tr - +) ;;
  *) PACKAGE_VERSION="0.1.0~git$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d.%H%M%S).$(printf %s "$VERSION" | tr - .)" ;;
  esac
fi
export PACKAGE_VERSION SOURCE_DATE_EPOCH ARCH STAGE

build() { # GOARCH FILE
  GOOS=linux GOARCH=$1 $go build -trimpath \
    -ldflags "-s -w -buildid= -X main.version=$VERSION -X main.commit=$COMMIT" -o "$2" ./daemon
}

# What every architecture has alike, made by a program that runs here.
common() { # PROGRAM DIR
  local f
  mkdir -p "$2"/{man,completion,doc} "$2"/man/{man1,man5,man8}
  "$1" man "$2/man/all"
  for f in "$2"/man/all/*; do
    gzip -9nc "$f" > "$2/man/man${f##*.}/$(basename "$f").gz"
  done
  rm -r "$2/man/all"
  "$1" completion bash > "$2/completion/sonde"
  "$1" completion zsh > "$2/completion/_sonde"
  "$1" completion fish > "$2/completion/sonde.fish"
  sed -E 's/^([^#].*)$/#\1/' config/reference.toml > "$2/sonde.toml"
  licences | gzip -9n > "$2/doc/licences.gz"
  copyright > "$2/doc/copyright"
  {
    printf 'sonde (%s) unstable; urgency=medium\n\n' "$PACKAGE_VERSION"
    printf '  * What changed for users stands in CHANGELOG.md of the sources.\n\n'
    printf ' -- Sonde maintainers <sonde@localhost.localdomain>  %s\n' "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
  } | gzip -9n > "$2/doc/changelog.gz"
}

# The licence of each module that is linked, and of Go's own library.
licences() {
  local path version dir f
  $go list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./daemon |
    sort -u | while read -r path version dir; do
    printf '===== %s %s\n\n' "$path" "$version"
    for f in "$dir"/LICEN[CS]E* "$dir"/COPYING*; do
      if [ -f "$f" ]; then cat "$f"; echo; fi
    done
  done
  printf '===== The Go standard library, %s\n\n' "$($go env GOVERSION)"
  cat "$($go env GOROOT)/LICENSE"
}

copyright() {
  cat << 'END'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: sonde
Comment: The program has other modules linked into it. Their licences are in
 /usr/share/doc/sonde/licences.gz, their versions in sbom.cdx.json beside it.

Files: *
Copyright: 2026 The Sonde authors
License: Apache-2.0
 On Debian systems the text of the licence is in
 /usr/share/common-licenses/Apache-2.0.
END
}

mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for ARCH in "$@"; do
  STAGE=$work/$ARCH
  mkdir -p "$STAGE"
  if [ -n "${BINARY:-}" ]; then
    cp "$BINARY" "$STAGE/sonde"
  else
    build "$ARCH" "$STAGE/sonde"
  fi
  if [ ! -d "$work/common" ]; then
    native=$($go env GOHOSTARCH)
    if [ -n "${DOCS_BINARY:-}" ]; then
      cp "$DOCS_BINARY" "$work/native"
    elif [ "$ARCH" != "$native" ]; then build "$native" "$work/native"; else cp "$STAGE/sonde" "$work/native"; fi
    common "$work/native" "$work/common"
  fi
  cp -r "$work/common/." "$STAGE"
  tool cyclonedx-gomod bin -json -std -noserial -notimestamp -version "$PACKAGE_VERSION" \
    -output "$STAGE/doc/sbom.cdx.json" "$STAGE/sonde" 2> /dev/null
  find "$STAGE" -exec chmod u=rwX,go=rX {} + -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  for f in "$STAGE"/man/man?/*; do
    echo "  - {src: $f, dst: /usr/share/man/$(basename "$(dirname "$f")")/$(basename "$f"), type: doc, packager: rpm}"
  done > "$work/pages"
  for f in systemd/siem/*; do
    echo "  - {src: $f, dst: /usr/share/doc/sonde/siem/$(basename "$f"), type: doc, packager: rpm, file_info: {mode: 0644}}"
  done >> "$work/pages"
  sed "/puts each page and each recipe here/r $work/pages" systemd/package/nfpm.yaml > "$work/nfpm.yaml"
  for packager in ${PACKAGERS:-deb rpm}; do
    tool nfpm package --config "$work/nfpm.yaml" --packager $packager --target "$out"
  done
done
(cd "$out" && sha256sum -- *"$(printf %s "$PACKAGE_VERSION" | cut -d~ -f1)"*)
