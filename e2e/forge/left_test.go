package forge

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// bottleRun is a run of bot-bottle, as `ls --json` tells of it.
type bottleRun struct{ ID, Name, State, Report string }

// bottle runs the binary as the service's user does, on its state folder.
func (h *host) bottle(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(h.dir, "bin/bot-bottle"), args...)
	cmd.Env = append(h.environment(), "BOT_BOTTLE_STATE="+filepath.Join(h.dir, "state"))
	cmd.Dir = h.dir
	if h.asUser {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(h.uid), Gid: uint32(h.uid)}}
	}
	return output(ctx, cmd)
}

// bottleRuns lists the runs that aren't settled; with --all, each there ever was.
func (h *host) bottleRuns(flags ...string) []bottleRun {
	h.t.Helper()
	out, err := h.bottle(h.t.Context(), append([]string{"ls", "--json"}, flags...)...)
	must(h.t, err)
	var d struct {
		Schema int
		Runs   []bottleRun
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil || d.Schema != 1 {
		h.t.Fatalf("ls --json: %v\n%s", err, out)
	}
	return d.Runs
}

// awaitNothingLeft waits until nothing of the host's runs is there any more. A
// supervisor whose starter was killed settles by itself, after that.
func (h *host) awaitNothingLeft() {
	h.t.Helper()
	var left []string
	err := eventually(h.t.Context(), "nothing is left", func() (bool, error) {
		left = h.left()
		return len(left) == 0, nil
	})
	if err != nil {
		h.t.Errorf("%v: %s", err, strings.Join(left, "\n"))
	}
}

// left names what is left of runs: in the ledger, as processes, folders and mounts.
func (h *host) left() (left []string) {
	h.t.Helper()
	for _, r := range h.bottleRuns() {
		left = append(left, fmt.Sprintf("run %+v", r))
	}
	for _, r := range h.bottleRuns("--all") {
		left = append(left, processes(r.ID)...)
		if _, err := os.Lstat(filepath.Join("/run/bot-bottle", r.ID)); err == nil {
			left = append(left, "the folder of run "+r.ID)
		}
	}
	left = append(left, processes(filepath.Join(h.dir, "bin/bot-bottle"))...)
	for _, dir := range []string{"run", "state/run", "state/work", "state/disks", "state/locks", "state/mirrors", "mirrors"} {
		left = append(left, h.leftIn(dir)...)
	}
	for _, mount := range h.mounted() {
		if !slices.Contains(h.mounts, mount) {
			left = append(left, "the mount "+mount)
		}
	}
	return left
}

// leftIn lists what is in the folder but for root's mark, which stays.
func (h *host) leftIn(dir string) (left []string) {
	entries, _ := os.ReadDir(filepath.Join(h.dir, dir))
	for _, e := range entries {
		left = append(left, filepath.Join(dir, e.Name()))
	}
	return slices.DeleteFunc(left, func(path string) bool { return filepath.Base(path) == ".root-id" })
}
