package workspace

// guestScript gathers the changes inside the guest. It works on an index of its
// own, made from the base, so it sees every file and doesn't care what the
// agent staged, committed or told git to overlook. The guest's config is set
// aside, because an honest agent may have changed how git prints a diff.
const guestScript = `set -eu
export LC_ALL=C GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_OPTIONAL_LOCKS=0
GIT_INDEX_FILE="$(git rev-parse --absolute-git-dir)/bot-bottle.index"
export GIT_INDEX_FILE
rm -f "$GIT_INDEX_FILE"
git read-tree "$1"
git -c core.fsmonitor=false -c core.safecrlf=false -c advice.addEmbeddedRepo=false add --all
exec git -c core.quotePath=true diff --cached -O/dev/null \
  --binary --full-index --no-ext-diff --no-textconv --no-renames --no-color --no-relative \
  --src-prefix=a/ --dst-prefix=b/ --submodule=short --ignore-submodules=none \
  --unified=3 --inter-hunk-context=0 --diff-algorithm=histogram "$1" --
`

// GuestDiff gives the command that prints the agent's changes since base: to
// tracked files, committed or not, and untracked ones that aren't ignored. It
// runs in the guest, in the workspace's folder, as the agent's user, and needs
// a shell and git there. What it prints is the guest's word: see ParsePatch.
func GuestDiff(base Base) []string {
	return []string{"/bin/sh", "-c", guestScript, "bot-bottle-diff", base.Tree}
}
