#!/bin/sh
# Runs every fuzz target of the repository for the time given, one after another.
set -eu
time=${1:-60s}
go list ./... | while read -r pkg; do
	for target in $(go test -list '^Fuzz' "$pkg" 2>/dev/null | grep '^Fuzz' || true); do
		echo "== $pkg $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5x "$pkg"
	done
done
