package attack

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/sshtest"
)

// git itself has to take a pack of ours, or a case would be held by what is wrong with
// it.
func TestGitTakesAPackOfOurs(t *testing.T) {
	dir := t.TempDir()
	sshtest.Run(t, dir, "init", "--quiet")
	var pack Pack
	first := pack.Commit(pack.path("deep/er/README", strings.Repeat("long ", 5000)), "one")
	tip := pack.Commit(pack.Tree(File("README", pack.Blob("")), folder("README-", pack.Tree())), "two", first)
	cmd := sshtest.Git(dir, "index-pack", "--stdin", "--strict")
	cmd.Stdin = bytes.NewReader(pack.bytes())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := sshtest.Run(t, dir, "log", "--format=%s", tip); strings.Fields(got)[0] != "two" || !strings.Contains(got, "one") {
		t.Errorf("git reads it as %q", got)
	}
}

func TestTheAnswerToAPushIsReadByItsBands(t *testing.T) {
	banded := func(band byte, text string) string { return string(AppendPacket(nil, string(band)+text)) }
	said := banded(bandProgress, "bot-bottle: gitleaks found\n")
	report := func(line string) string {
		return banded(bandReport, string(AppendPacket(AppendPacket(nil, "unpack ok\n"), line))+Flush)
	}
	for body, want := range map[string]int{said + report("ng refs/heads/x bot-bottle: secret\n") + Flush: 403, said + report("ok refs/heads/x\n") + Flush: 200} {
		a, err := reportOf(body)
		if err != nil || a.status != want || want == 403 && !strings.Contains(a.body, "gitleaks") {
			t.Errorf("got %+v, %v", a, err)
		}
	}
	for _, body := range []string{"", said, "zzzz", report("")} {
		if a, err := reportOf(body); err == nil {
			t.Errorf("%q is taken for %+v", body, a)
		}
	}
}
