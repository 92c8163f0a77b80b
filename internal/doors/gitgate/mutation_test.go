//go:build mutation

package gitgate

import (
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
)

// passes pushes a change, with the defence and without it.
func passes(t *testing.T, point mutation.Point, ref string, files map[string]string) {
	t.Helper()
	for _, on := range []bool{false, true} {
		if on {
			t.Setenv(mutation.Variable, string(point))
		}
		w := judging(t, JudgeOptions{})
		dir := w.clone()
		w.change(dir, files)
		out, err := tryGit(t, dir, "push", "origin", "HEAD:"+ref)
		if (err == nil) != on || (w.pushes() > 0) != on {
			t.Errorf("switched off %v: %v, %d pushes: %s", on, err, w.pushes(), out)
		}
	}
}

func TestMutationAnyRefLetsAPushChangeMain(t *testing.T) {
	passes(t, mutation.GitAnyRef, "refs/heads/main", map[string]string{"a": "x"})
}

func TestMutationScanLetsASecretOut(t *testing.T) {
	passes(t, mutation.GitScan, pushable, map[string]string{"a": pat()})
}

func TestMutationAnyPathLetsAWorkflowOut(t *testing.T) {
	passes(t, mutation.GitAnyPath, pushable, map[string]string{".github/workflows/x.yml": "on: push\n"})
}

func TestMutationHostWorkflowLetsABuildFileOntoTheHost(t *testing.T) {
	for _, on := range []bool{false, true} {
		if on {
			t.Setenv(mutation.Variable, string(mutation.GitHostWorkflow))
		}
		w := buildWorld(t, map[string]string{ciFile: onHost})
		if err := w.door.Workflows(t.Context(), "widgets", ""); (err == nil) != on {
			t.Errorf("switched off %v: before the job: %v", on, err)
		}
		out, err := tryGit(t, w.evilMakefile(), "push", "origin", "HEAD:"+pushable)
		if (err == nil) != on || (w.pushes() > 0) != on {
			t.Errorf("switched off %v: %v, %d pushes: %s", on, err, w.pushes(), out)
		}
	}
}
