package decision_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// limitVar makes the test binary write a log within the file size that
// RLIMIT_FSIZE gives it, in the file it names.
const limitVar = "BOT_BOTTLE_TEST_SMALL_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(limitVar); path != "" {
		os.Exit(writeUntilFull(path))
	}
	os.Exit(m.Run())
}

// writeUntilFull exits with 0 if Verdict fails once the file can't grow, and
// works again once it can.
func writeUntilFull(path string) int {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 2
	}
	g, err := decision.OpenLog(f, decision.Options{})
	if err != nil {
		return 3
	}
	const small = 1000 // not a multiple of a line, so that one is cut
	if unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: small, Max: unix.RLIM_INFINITY}) != nil {
		return 4
	}
	for err == nil {
		_, err = g.Verdict(allowed)
	}
	if unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}) != nil {
		return 5
	}
	if _, err := g.Verdict(refused); err != nil {
		return 6
	}
	return 0
}

func TestAfterAFullDiskTheNextLineIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), limitVar+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the writer: %v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) <= 1000 || b[999] == '\n' {
		t.Fatalf("no line was cut in %q", b)
	}
	var last decision.Line
	count := 0
	for l := range decision.Read(strings.NewReader(string(b))) {
		last = l
		count++
	}
	if last.Verdict != decision.Refuse || count != strings.Count(string(b), "\n")-1 {
		t.Errorf("%d lines, the last %+v, of\n%s", count, last, b)
	}
}
