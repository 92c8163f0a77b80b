#!/bin/sh
# Installs what the tests need, or says what is missing. On Debian and as root it
# uses apt; elsewhere it changes nothing.
set -eu

missing=
need() { # program package
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need git git
need gcc gcc
need make make
need curl curl
need node nodejs
need python3 python3
need ssh-keygen openssh-client # a stranger's view of a forge's SSH server
need unshare util-linux
need setpriv util-linux
[ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ] && need dockerd docker.io # tests start engines of their own, which takes root
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"

if ! command -v go >/dev/null 2>&1; then
	echo 'error: Go is missing' >&2
	echo 'hint: install Go 1.26 or newer from your distribution or go.dev' >&2
	exit 1
fi
if [ -z "$missing" ]; then
	sh "$(dirname "$0")/agents.sh" >/dev/null
	exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	apt-get update -qq
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
	sh "$(dirname "$0")/agents.sh" >/dev/null
	exit 0
fi
echo "error: the tests need:$missing" >&2
echo 'hint: install these packages, then try again' >&2
exit 1
