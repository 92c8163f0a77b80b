package main

import (
	"slices"
	"testing"
)

func TestHomeOfAJobHoldsNoBottlesUnderARunner(t *testing.T) {
	t.Setenv("HOME", "/home/of/a/job")
	for _, name := range []string{"GITHUB_ACTIONS", "GITEA_ACTIONS", "FORGEJO_ACTIONS"} {
		t.Setenv(name, "")
	}
	if got := ownFolders("bottles"); !slices.Contains(got, "/home/of/a/job/.bot-bottle/bottles") {
		t.Errorf("without a runner: %q", got)
	}
	t.Setenv("GITEA_ACTIONS", "true")
	if got := ownFolders("bottles"); !slices.Equal(got, []string{"/etc/bot-bottle/bottles"}) {
		t.Errorf("under a runner: %q", got)
	}
}
