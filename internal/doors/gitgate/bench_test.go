package gitgate

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/internal/sshtest"
)

// words gives about n bytes of text that looks like a source file, each time another.
func words(n int) string {
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "func name%d(value int) string { return lookup(%d, \"text %x\") }\n", rand.IntN(1e6), rand.IntN(1e6), rand.Uint32())
	}
	return b.String()
}

// history makes n commits of a file each on main of a new repository, without the time
// that git commit takes for each.
func history(b testing.TB, n, bytes int) (dir string) {
	b.Helper()
	dir = b.TempDir()
	git(b, dir, "init", "--quiet", "--initial-branch=main")
	var in strings.Builder
	for i := range n {
		text := words(bytes)
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata 6\ncommit\nM 100644 inline folder%d/file%d\ndata %d\n%s\n", 1700000000+i, i%20, i, len(text), text)
	}
	cmd := sshtest.Git(dir, "fast-import", "--quiet")
	cmd.Stdin = strings.NewReader(in.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return dir
}

// BenchmarkPush pushes many small commits through the gate, which judges and forwards
// each over SSH, and beside it straight into a bare repository of the same machine.
func BenchmarkPush(b *testing.B) {
	const file = 1000
	for _, commits := range []int{10, 1000} {
		b.Run(fmt.Sprintf("%d/gate", commits), func(b *testing.B) {
			w := judging(b, JudgeOptions{})
			w.door.rules["widgets"].Refs = []string{"refs/heads/bottle/*"}
			b.SetBytes(int64(commits * file))
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				dir := history(b, commits, file)
				b.StartTimer()
				git(b, dir, "push", "--quiet", w.url+"widgets.git", fmt.Sprintf("main:refs/heads/bottle/%d", i))
			}
		})
		b.Run(fmt.Sprintf("%d/direct", commits), func(b *testing.B) {
			bare := filepath.Join(b.TempDir(), "bare.git")
			git(b, b.TempDir(), "init", "--quiet", "--bare", bare)
			b.SetBytes(int64(commits * file))
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				dir := history(b, commits, file)
				b.StartTimer()
				git(b, dir, "push", "--quiet", bare, fmt.Sprintf("main:refs/heads/%d", i))
			}
		})
	}
}

// BenchmarkLargePush tells how much memory a large push takes, which must not grow with
// it. Scanning a gigabyte of text takes the better part of ten minutes; a quarter of one
// shows the same.
func BenchmarkLargePush(b *testing.B) {
	const size, most = 256 << 20, 160 << 20
	w := judging(b, JudgeOptions{})
	dir := w.clone()
	f, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		b.Fatal(err)
	}
	for range size / (1 << 20) {
		if _, err := io.WriteString(f, words(1<<20)); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	for _, other := range []string{dir, filepath.Join(w.Dir, "widgets.git")} { // the client and the upstream would hold all of it
		git(b, other, "config", "core.bigFileThreshold", "1m")
	}
	git(b, dir, "add", "large")
	w.commitWith(dir)
	before := peak(b, syscall.RUSAGE_SELF)
	b.SetBytes(size)
	b.ResetTimer() // of one push: the same commit would be none again, and it takes minutes
	git(b, dir, "-c", "http.postBuffer=1048576", "push", "--quiet", "origin", "HEAD:"+pushable)
	b.StopTimer()
	if w.pushes() != 1 {
		b.Error("the push did not arrive")
	}
	gate, children := peak(b, syscall.RUSAGE_SELF)-before, peak(b, syscall.RUSAGE_CHILDREN)
	b.ReportMetric(float64(gate>>20), "gate-MiB")
	b.ReportMetric(float64(children>>20), "git-MiB")
	if gate > most || children > most {
		b.Errorf("it took %d and %d bytes", gate, children)
	}
}

// peak is the most memory that this process, or one of its children, has had.
func peak(t testing.TB, who int) int64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		t.Fatal(err)
	}
	return u.Maxrss << 10
}
