#!/usr/bin/env bash
# usage: systemd/package/lint.sh DIR
# Runs lintian and rpmlint over the packages in DIR. What they say and we do not
# mend stands, with its reason, in lintian-overrides and rpmlint.toml.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bad=0
shopt -s failglob
for p in "$1"/*.deb; do
  lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$p" || bad=1
done
for p in "$1"/*.rpm; do
  said=$(rpmlint -c "$here/rpmlint.toml" "$p") || bad=1
  grep -E ': [EW]: ' <<< "$said" && bad=1
done
if [ $bad = 0 ]; then echo "lint: lintian and rpmlint have nothing to say"; fi
exit $bad
