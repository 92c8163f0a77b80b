package escape

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/sshtest"
)

func startedGitHost(t *testing.T) (*gitHost, *standIns) {
	t.Helper()
	s := &standIns{got: map[string][]byte{}}
	var err error
	if s.git, err = startGitHost(t.Context(), s.keep); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.git.close)
	return s.git, s
}

func TestTheGitHostKeepsWhatIsPushed(t *testing.T) {
	g, s := startedGitHost(t)
	if err := g.alive(t.Context(), s.holder); err != nil {
		t.Error(err)
	}
	if n := g.pushed(aliveRepository); n != 1 {
		t.Errorf("it counted %d pushes", n)
	}
	deaf := func(string) (string, string) { return "", "" }
	if err := g.alive(t.Context(), deaf); err == nil {
		t.Error("one that keeps nothing is called alive")
	}
}

// What git sends has objects that are stored as differences of both kinds.
func TestTheGitHostUnpacksWhatGitMakes(t *testing.T) {
	dir := t.TempDir()
	sshtest.Run(t, dir, "init", "--quiet")
	long := strings.Repeat("one line of many, and each with a number\n", 500)
	canary := newCanary()
	for i, text := range []string{long, long + canary, long + "\nanother"} {
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sshtest.Run(t, dir, "add", "file")
		sshtest.Run(t, dir, "commit", "--quiet", "-m", strings.Repeat("m", i+1))
	}
	for name, args := range map[string][]string{"by reference": {"pack-objects", "--all", "--stdout"}, "by offset": {"pack-objects", "--all", "--stdout", "--delta-base-offset"}} {
		cmd := sshtest.Git(dir, args...)
		cmd.Stdin = strings.NewReader("")
		pack, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		g, s := startedGitHost(t)
		in := bufio.NewReader(bytes.NewReader(pack))
		if err := g.unpack(attack.WorkRepository, in); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if rest := in.Buffered(); rest != 0 {
			t.Errorf("%s: %d bytes were left", name, rest)
		}
		if holder, _ := s.holder(canary); holder == "" {
			t.Errorf("%s: what was pushed is not kept", name)
		}
	}
}

func TestAPushThatReachesTheUpstreamWithASecretIsALeak(t *testing.T) {
	u := judged(t, func(j *judge, c *attack.Case) {
		j.standIns.git = &gitHost{pushes: map[string]int{attack.SecretRepository: 1}}
		c.ID, j.results.Cases[0].ID = "G05", "G05"
		j.plan.Canary["G05"], j.plan.Twin["G05"] = newCanary(), j.plan.Twin["H01"]
	})
	if u.Verdict != Leaked {
		t.Errorf("got %+v", u)
	}
}
