package e2e

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/pages"
	"github.com/bot-bottle/action/internal/testenv"
)

// What the pages say to type is typed, page by page, in the home folder of somebody who
// has nothing but bot-bottle, and what they say comes out of it does.
func TestTheCommandsOfThePages(t *testing.T) {
	found, err := pages.Marked("..", "run")
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	byPage := map[string][]pages.Block{}
	for _, b := range found {
		byPage[b.Page] = append(byPage[b.Page], b)
	}
	for _, page := range slices.Sorted(maps.Keys(byPage)) {
		t.Run(strings.TrimPrefix(page, "../"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			w.must(os.Mkdir(filepath.Join(w.dir, "bin"), 0o755))
			w.must(os.Symlink(w.bin, filepath.Join(w.dir, "bin", "bot-bottle")))
			w.own()
			for _, b := range byPage[page] {
				w.types(b)
			}
			w.nothingLeft()
		})
	}
}

// types runs what a block has, by the shell, in the world's folder.
func (w *world) types(b pages.Block) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu")
	cmd.Stdin = strings.NewReader(b.Script())
	cmd.Env, cmd.Dir = w.environment(), w.dir
	cmd.Env = append(cmd.Env, "PATH="+filepath.Join(w.dir, "bin")+":"+os.Getenv("PATH"))
	if w.asUser {
		testenv.As(w.uid, cmd)
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("%s: %v", b, err)
	}
	if code := cmd.ProcessState.ExitCode(); code != wantedCode(w.t, b) {
		w.t.Fatalf("%s ended with code %d:\n%s", b, code, out)
	}
	left := string(out)
	for _, line := range b.Output() {
		for part := range strings.SplitSeq(line, "…") {
			_, after, ok := strings.Cut(left, strings.TrimSpace(part))
			if !ok {
				w.t.Fatalf("%s: %q does not come out, or not there:\n%s", b, part, out)
			}
			left = after
		}
	}
}

// wantedCode is the exit code that the block's mark names.
func wantedCode(t testing.TB, b pages.Block) int {
	t.Helper()
	what, _ := b.Says("run")
	if what == "" {
		return 0
	}
	code, err := strconv.Atoi(strings.TrimPrefix(what, "exit "))
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return code
}
