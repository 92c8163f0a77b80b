#!/bin/sh
# Installs the agent CLIs that the tests run, as tools/agents/package-lock.json pins
# them, into a folder that is named by that file and kept from run to run. Prints
# the folder. No script of a package is run.
set -eu

cd "$(dirname "$0")/agents"
lock=$(sha256sum package-lock.json | cut -c1-12)
dir=${BOT_BOTTLE_TEST_AGENTS:-/var/tmp/bot-bottle-test-agents-$(id -u)-$lock}
if [ ! -e "$dir/complete" ]; then
	major=$(node --version 2>/dev/null | sed 's/^v//; s/\..*//')
	if [ "${major:-0}" -lt 20 ] || ! command -v npm >/dev/null 2>&1; then
		echo 'error: the tests of the agent CLIs need Node.js 20 or newer, with npm' >&2
		echo 'hint: install both from your distribution or from nodejs.org' >&2
		exit 1
	fi
	umask 022
	mkdir -p "$dir"
	cp package.json package-lock.json "$dir"
	npm ci --prefix "$dir" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
	touch "$dir/complete"
fi
echo "$dir"
