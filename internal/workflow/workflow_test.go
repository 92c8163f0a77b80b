package workflow

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const branch = "bot-bottle/fix-7"

func jobs(t *testing.T, text string) []string {
	t.Helper()
	var names []string
	for _, e := range Judge("ci.yml", []byte(text), branch) {
		names = append(names, e.Job+"@"+e.On)
	}
	return names
}

func TestJobsThatWouldRunAPushOnTheHost(t *testing.T) {
	const job = "\njobs: { build: { runs-on: nixos } }"
	for on, exposed := range map[string]string{
		"on: push":                     "build@push",
		"on: [issues, push]":           "build@push",
		"on: { push: }":                "build@push",
		"on: { push: {}, issues: {} }": "build@push",
		"on: { pull_request: { branches: [main] } }": "build@pull_request",
		"on: create":                                                           "build@create",
		"on: { push: { branches: ['**'] } }":                                   "build@push",
		"on: { push: { branches: ['bot-bottle/*'] } }":                         "build@push",
		"on: { push: { branches: ['b*/fi?x-7'] } }":                            "build@push",
		"on: { push: { branches: ['[a-z]*/x'] } }":                             "build@push", // not understood
		"on: { push: { branches-ignore: [main] } }":                            "build@push",
		"on: { push: { branches: main } }":                                     "",
		"on: { push: { branches: [main, 'release/**'] } }":                     "",
		"on: { push: { branches: ['*'] } }":                                    "", // * doesn't take a slash
		"on: { push: { branches: ['**', '!bot-bottle/**'] } }":                 "",
		"on: { push: { branches-ignore: ['bot-bottle/**'] } }":                 "",
		"on: { push: { tags: ['v*'] } }":                                       "",
		"on: { issue_comment: { types: [created] } }":                          "",
		"on: { push: { branches: } }":                                          "build@push",
		"\ufeffon: push":                                                       "build@push",
		"on: pull_request_review":                                              "build@pull_request_review",
		"on: { pull_request_review_comment: { types: [created] } }":            "build@pull_request_review_comment",
		"on: merge_group":                                                      "build@merge_group",
		"on: [schedule, workflow_dispatch]":                                    "",
		"on: pull_request_target":                                              "",
		"on: { push: { branches: ['" + strings.Repeat("**a", 4) + "zz'] } }":   "",
		"on: { push: { branches: ['" + strings.Repeat("**a", 40) + "zz'] } }":  "",
		"on: { push: { branches: ['" + strings.Repeat("*a", 4000) + "'] } }":   "build@push", // not compared
		"on: { push: { branches-ignore: ['[a-z]*/**'] } }":                     "build@push", // not understood
		"on: { push: { branches: ['**', '![a-z]*/**'] } }":                     "build@push",
		"on: { push: { branches: ['bot-bottle/**/fix-7'] } }":                  "build@push",
		"on: { push: { tags-ignore: ['v*'] } }":                                "",
		"on: { push: { tags: ['v*'], branches-ignore: [main] } }":              "build@push",
		"on: { push: { branches: [main] }, pull_request: { types: [opened] }}": "build@pull_request",
	} {
		if got := strings.Join(jobs(t, on+job), " "); got != exposed {
			t.Errorf("%s: got %q, wanted %q", on, got, exposed)
		}
	}
}

func TestLabelsThatMeanThisHost(t *testing.T) {
	for runsOn, exposed := range map[string]bool{
		"nixos":                               true,
		"[self-hosted, linux]":                true,
		"${{ matrix.os }}":                    true,
		"{ group: big }":                      true,
		"ubuntu-latest":                       false,
		"[self-hosted, docker]":               true,
		"[self-hosted, ubuntu-22.04]":         true,
		"[ubuntu-22.04, docker]":              false,
		"x, container: ''":                    true,
		"x, container: ' '":                   true,
		"x, container: '${{ matrix.image }}'": true,
		"x, container: { image: debian:12 }":  false,
		"x, container: { image: }":            true,
		"macos-15":                            false,
		"null":                                false,
		"x, container: debian:12":             false,
	} {
		got := jobs(t, "on: push\njobs: { a: { runs-on: "+runsOn+" } }")
		if (len(got) == 1) != exposed {
			t.Errorf("%s: got %v", runsOn, got)
		}
	}
}

func TestWorkflowsThatCantBeReadAreExposed(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 20 {
		bomb += strings.ReplaceAll("z1: &z1 [*z0,*z0,*z0,*z0,*z0,*z0,*z0,*z0,*z0]\n", "z1", string(rune('b'+i)))
		bomb = strings.ReplaceAll(bomb, "z0", string(rune('a'+i)))
	}
	start := time.Now()
	for name, text := range map[string]string{
		"bomb": bomb, "deep": strings.Repeat("[", 10000), "not YAML": "on: [", "a list": "- a", "merge": "x: &x {a: b}\non: push\njobs: {<<: *x}",
	} {
		if got := jobs(t, text); !slices.Equal(got, []string{"@"}) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestFindLooksWhereTheForgesLook(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := Find(dir, branch); err != nil || len(found) != 0 {
		t.Errorf("an empty checkout: %v, %v", found, err)
	}
	host := "on: push\njobs: { a: { runs-on: nixos } }"
	write(".github/workflows/a.yml", host)
	write(".gitea/workflows/b.yaml", host)
	write(".forgejo/workflows/c.yml", host)
	write(".github/workflows/readme.md", host)
	write(".gitea/workflows/below/d.yml", host) // Gitea looks there, too
	write(".github/workflows/big.yml", host+strings.Repeat("\n#", MaxFile))
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, ".github/workflows/out.yml")); err != nil {
		t.Fatal(err)
	}
	found, err := Find(dir, branch)
	if err != nil {
		t.Fatal(err)
	}
	want := []Exposed{
		{".github/workflows/a.yml", "a", "push", "nixos"}, {File: ".github/workflows/big.yml"}, {File: ".github/workflows/out.yml"},
		{".gitea/workflows/b.yaml", "a", "push", "nixos"}, {".gitea/workflows/below/d.yml", "a", "push", "nixos"}, {".forgejo/workflows/c.yml", "a", "push", "nixos"},
	}
	if !slices.Equal(found, want) {
		t.Errorf("got %+v", found)
	}
}

func TestJobsOfWorkflowsThatAreCalledRunForTheCaller(t *testing.T) {
	files := map[string]string{
		"calls.yml": "on: push\njobs: { a: { uses: ./.github/workflows/host.yml }, b: { uses: ./.github/workflows/gone.yml }, c: { uses: 'o/r/.github/workflows/x.yml@v1' }, d: { uses: ./.github/workflows/cloud.yml } }",
		"host.yml":  "on: workflow_call\njobs: { h: { runs-on: nixos }, again: { uses: ./.github/workflows/calls.yml } }",
		"cloud.yml": "on: workflow_call\njobs: { h: { runs-on: ubuntu-latest } }",
		"idle.yml":  "on: issues\njobs: { a: { uses: ./.github/workflows/host.yml } }",
	}
	j := judge{ref: readRef(branchPrefix + branch), read: func(name string) ([]byte, error) {
		text, has := files[strings.TrimPrefix(name, ".github/workflows/")]
		if !has {
			return nil, os.ErrNotExist
		}
		return []byte(text), nil
	}}
	j.triggered(".github/workflows/idle.yml")
	if len(j.found) != 0 {
		t.Errorf("a caller that no push starts: %+v", j.found)
	}
	j.triggered(".github/workflows/calls.yml")
	var got []string
	for _, e := range j.found {
		got = append(got, strings.Join([]string{filepath.Base(e.File), e.Job, e.On, e.Label}, " "))
	}
	want := []string{"calls.yml c push o/r/.github/workflows/x.yml@v1", "gone.yml   ", "host.yml h push nixos"}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestMoreWorkflowsThanAreReadAreExposed(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, ".github/workflows")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range MaxFiles + 1 {
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)+".txt"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(dir, branch)
	if err != nil || !slices.Equal(found, []Exposed{{File: ".github/workflows"}}) {
		t.Errorf("%+v, %v", found, err)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("on: push\njobs: { a: { runs-on: nixos } }", "bot-bottle/x")
	f.Add("on: { push: { branches: ['**a**b?c'] } }\njobs: { a: { runs-on: [x] } }", "aab")
	f.Fuzz(func(t *testing.T, text, branch string) {
		if len(text) > 4096 || len(branch) > 64 {
			return
		}
		for _, e := range Judge("f.yml", []byte(text), branch) {
			if e.File != "f.yml" {
				t.Errorf("got %+v", e)
			}
		}
	})
}
