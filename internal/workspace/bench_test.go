package workspace_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/workspace"
)

// largeRepo is a repository of n files of 1.5 KB.
func largeRepo(b *testing.B, n int) repo {
	b.Helper()
	r := repo{b, b.TempDir()}
	line := strings.Repeat("x", 70) + "\n"
	r.git("init", "--quiet", "--initial-branch=main")
	for i := range n {
		r.write(fmt.Sprintf("d%d/f%d", i%100, i), fmt.Sprint(i, "\n")+strings.Repeat(line, 20))
	}
	r.commit("large")
	r.git("repack", "--quiet", "-a", "-d")
	return r
}

// BenchmarkPack stands beside the clone that it replaces.
func BenchmarkPack(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		r := largeRepo(b, n)
		for name, opts := range map[string]workspace.PackOptions{"committed": {}, "uncommitted": {Uncommitted: true}} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				checkout := r.open()
				for b.Loop() {
					if _, err := checkout.Pack(b.Context(), opts, io.Discard); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("clone/%d", n), func(b *testing.B) {
			for b.Loop() {
				r.git("clone", "--quiet", "--no-local", "--single-branch", "--no-tags", ".", b.TempDir())
			}
		})
	}
}

// BenchmarkParsePatch reads a patch of 100 files, 10,000 lines.
func BenchmarkParsePatch(b *testing.B) {
	var patch strings.Builder
	body := strings.Repeat("+a line of a source file\n", 100)
	for i := range 100 {
		head := newFile(fmt.Sprintf("folder/file%d.go", i))
		patch.WriteString(strings.Replace(head, "@@ -0,0 +1 @@\n+x\n", "@@ -0,0 +1,100 @@\n"+body, 1))
	}
	b.SetBytes(int64(patch.Len()))
	for b.Loop() {
		if _, err := workspace.ParsePatch(strings.NewReader(patch.String()), workspace.Rules{}); err != nil {
			b.Fatal(err)
		}
	}
}
