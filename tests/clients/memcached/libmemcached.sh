#!/usr/bin/env bash
# libmemcached's own tools: text, or binary when the third argument says so.
set -euo pipefail
server=$1:$2
binary=()
[ "${3:-}" != binary ] || binary=(--binary)
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
cd "$files"
for index in $(seq 20); do
    head -c $((index * 1000)) /dev/urandom | base64 -w 0 >"tool$index"
done
memccp "${binary[@]}" --servers="$server" tool*
for index in $(seq 20); do
    memccat "${binary[@]}" --servers="$server" "tool$index" >got
    # It ends each value with a line feed.
    [ "$(cat got)" = "$(cat "tool$index")" ] || { echo "tool$index: another value came back" >&2; exit 1; }
done
memcrm "${binary[@]}" --servers="$server" tool1
! memcexist "${binary[@]}" --servers="$server" tool1 2>/dev/null || { echo "tool1 is still there" >&2; exit 1; }
memcexist "${binary[@]}" --servers="$server" tool2
memctouch "${binary[@]}" --servers="$server" --expire=100 tool2
memcstat "${binary[@]}" --servers="$server" >/dev/null
echo "libmemcached${3:+ $3}: ok"
