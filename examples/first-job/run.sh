#!/bin/sh
# The first job: an agent works in a proven sandbox and fails to get out of it.
# Needs bin/bot-bottle (make build), Go, git and a shell; no account, no daemon,
# no root where user namespaces work.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/first-job.XXXXXX")
upstream=
cleanup() {
	[ -z "$upstream" ] || kill "$upstream" 2>/dev/null || true
	[ -z "$upstream" ] || wait "$upstream" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A token that stays on the host and a secret that enters the guest, new each time.
random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
FIRST_JOB_TOKEN=$(random)
FIRST_JOB_SECRET=planted-$(random)
export FIRST_JOB_TOKEN FIRST_JOB_SECRET

(cd "$top" && CGO_ENABLED=0 go build -o "$work/upstream" ./examples/first-job/upstream &&
	CGO_ENABLED=0 go build -ldflags '-s -w' -o "$work/agent" ./examples/first-job/agent)

# The listed host, on loopback.
"$work/upstream" "$work" &
upstream=$!
tries=0
until [ -s "$work/port" ]; do
	kill -0 "$upstream" 2>/dev/null || { echo 'error: the upstream did not start' >&2; exit 1; }
	tries=$((tries + 1))
	[ $tries -lt 100 ] || { echo 'error: the upstream is not ready after 10 s' >&2; exit 1; }
	sleep 0.1
done

# The operator's folders, with the port filled in.
cp -R "$here/agents" "$work/agents"
mkdir "$work/bottles"
sed -e "s|@PORT@|$(cat "$work/port")|" -e "s|@DIR@|$work|" "$here/bottles/first-job.md" >"$work/bottles/first-job.md"

# The repository that the agent works on. The agent's program comes along in it.
cp -R "$here/sample" "$work/checkout"
mkdir "$work/checkout/bin"
cp "$work/agent" "$work/checkout/bin/agent"
(
	cd "$work/checkout"
	git init -q .
	git add -A
	git -c user.name=sample -c user.email=sample@example.invalid -c commit.gpgsign=false commit -q -m 'a sample'
)

status=0
"${BOT_BOTTLE:-$top/bin/bot-bottle}" run --backend gvisor \
	--bottles-dir "$work/bottles" --bottle first-job \
	--agents-dir "$work/agents" --agent first-job \
	--workspace "$work/checkout" "$@" || status=$?

# What reached the listed host is the judge: the greeting was asked for, and no more.
if ! grep -q '^GET /greeting ' "$work/received.log"; then
	echo 'error: the listed host was never asked: this run shows nothing' >&2
	[ $status -ne 0 ] || status=1
fi
if grep -q "$FIRST_JOB_SECRET" "$work/received.log"; then
	echo 'error: the secret reached the upstream' >&2
	status=5
fi
exit $status
