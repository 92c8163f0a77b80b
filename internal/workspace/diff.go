package workspace

// guestScript gathers the changes inside the guest. Git works there in a folder of
// ours, which borrows the objects of the agent's repository and nothing else: the
// agent's hooks and filters would run once more, after everything of its was ended,
// and its config may have changed how git prints a diff. With an index made from the
// base, every file is seen, whatever the agent staged, committed or told git to
// overlook. The attributes outrank those of the tree.
const guestScript = `set -eu
export LC_ALL=C GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_OPTIONAL_LOCKS=0
theirs="$(git rev-parse --absolute-git-dir)"
GIT_OBJECT_DIRECTORY="$(cd "$(git rev-parse --git-path objects)" && pwd)"
GIT_DIR="$theirs/bot-bottle"
GIT_WORK_TREE="$(pwd)"
rm -rf "$GIT_DIR"
mkdir -p "$GIT_DIR/refs" "$GIT_DIR/objects" "$GIT_DIR/info"
echo 'ref: refs/heads/none' >"$GIT_DIR/HEAD"
version=0 format=
if [ "${#1}" -eq 64 ]; then version=1 format='[extensions] objectformat = sha256'; fi
printf '[core]\nrepositoryformatversion = %s\nbare = false\nfilemode = true\n%s\n' "$version" "$format" >"$GIT_DIR/config"
echo '* -filter' >"$GIT_DIR/info/attributes"
export GIT_DIR GIT_WORK_TREE GIT_OBJECT_DIRECTORY
git read-tree "$1"
git -c core.safecrlf=false -c advice.addEmbeddedRepo=false add --all
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
