package main

import (
	"slices"
	"strings"
	"testing"
)

func variables(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestHomeOfAJobHoldsNoBottlesUnderARunner(t *testing.T) {
	own := "/home/of/a/job/.bot-bottle/bottles"
	if got, err := bottleFolders("", variables("HOME", "/home/of/a/job")); err != nil || !slices.Contains(got, own) {
		t.Errorf("without a runner: %q, %v", got, err)
	}
	for _, name := range []string{"CI", "GITHUB_ACTIONS", "GITEA_ACTIONS", "FORGEJO_ACTIONS"} {
		got, err := bottleFolders("", variables("HOME", "/home/of/a/job", name, "true"))
		if err != nil || len(got) != 1 || slices.Contains(got, own) {
			t.Errorf("under a runner: %q, %v", got, err)
		}
	}
}

func TestAJobsEnvironmentHoldsNoCredentialOfTheHosts(t *testing.T) {
	for _, name := range []string{"CI", "GITHUB_ACTIONS", "GITEA_ACTIONS", "FORGEJO_ACTIONS"} {
		t.Setenv(name, "")
	}
	t.Setenv("TOKEN", "x")
	t.Setenv("CREDENTIALS_DIRECTORY", "/home/of/a/job")
	if value, ok := hostLookup()("TOKEN"); !ok || value != "x" {
		t.Errorf("without a runner: %q", value)
	}
	t.Setenv("GITEA_ACTIONS", "true")
	for dir, found := range map[string]bool{
		"/home/of/a/job": false, "/run/credentials/runner.service": true, "/run/credentials/../../tmp": false, "/run/credentials/a/b": false, "/run/user/1/credentials/x": false, "": false,
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", dir)
		if got, ok := hostLookup()("CREDENTIALS_DIRECTORY"); ok != found || ok && got != dir {
			t.Errorf("%q: %q, %v", dir, got, ok)
		}
	}
	if _, ok := hostLookup()("TOKEN"); ok {
		t.Error("under a runner a job's variable counts")
	}
}

func TestAJobCannotNameItsFolderOfBottles(t *testing.T) {
	_, err := bottleFolders("/srv/bottles", variables("CI", "true"))
	if err == nil || !strings.Contains(err.Error(), "a job can't choose its own policy") {
		t.Errorf("the error is %v", err)
	}
}

func TestARunnersJobIsWhatBottlesAreCheckedAgainst(t *testing.T) {
	if job := jobOf(variables("GITHUB_REPOSITORY", "o/r")); job != nil {
		t.Errorf("without a runner: %+v", job)
	}
	job := jobOf(variables("GITHUB_ACTIONS", "true", "GITHUB_REPOSITORY", "o/r", "GITHUB_EVENT_NAME", "push", "GITHUB_REF", "refs/heads/main"))
	if job == nil || job.Repository != "o/r" || job.Event != "push" || job.Ref != "refs/heads/main" {
		t.Errorf("under a runner: %+v", job)
	}
}
