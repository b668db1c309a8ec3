#!/usr/bin/env bash
# Runs the demo as the README says and looks at what it printed: two tokens, and they differ.
set -euo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo build --locked --release
began=$SECONDS
cargo run --locked --release -- demo | tee "$log"
took=$((SECONDS - began))

line=$(grep -E '^Done\. First token [^ ]+, second token [^ ]+\.$' "$log") || {
	echo 'demo: it printed no two tokens' >&2
	exit 1
}
first=$(sed -E 's/^Done\. First token ([^ ]+), .*/\1/' <<<"$line")
second=$(sed -E 's/.*second token ([^ ]+)\.$/\1/' <<<"$line")
if [ "$first" = "$second" ]; then
	echo "demo: both tokens are $first" >&2
	exit 1
fi
grep -q '^The tokens differ; the provider counted 1 refresh\.$' "$log" || {
	echo 'demo: the provider did not count one refresh' >&2
	exit 1
}
echo "demo: $first, then $second, in ${took} s"
