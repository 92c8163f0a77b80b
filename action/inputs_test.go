package action

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/post"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

func TestInputsAreRead(t *testing.T) {
	in, err := ParseInputs(map[string]string{
		"token": "t", "bottle": "base, claude-dev", "agent": "fixer", "prompt": "do\nthis\n", "backend": "gvisor", "timeout": "90s",
		"escape": "off", "pull-request": "true", "fail-on": "agent,refused", "preflight-only": "false", "model": "m", "post": "comment,status", "bottle-path": "/x", "install": "false",
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(in.Bottles, []string{"base", "claude-dev"}) || in.Prompt != "do\nthis" || in.Timeout != 90*time.Second || !in.PullRequest ||
		!slices.Equal(in.FailOn, []Failure{FailAgent, FailRefused}) || in.Token.Reveal() != "t" ||
		!slices.Equal(in.Post, []post.Kind{post.Comment, post.Status}) {
		t.Errorf("got %+v", in)
	}
}

func TestWrongInputsAreNamed(t *testing.T) {
	for want, given := range map[string]map[string]string{
		`"bottle": it has more than one line`:         {"bottle": "a\nb"},
		`"bottle": "A" is not a name`:                 {"bottle": "A"},
		`"bottle": "a,,b" has an empty part`:          {"bottle": "a,,b"},
		`"agent": "../x" is not a name`:               {"agent": "../x"},
		`"timeout": "soon" is not a duration`:         {"timeout": "soon"},
		`"timeout": "-1s" is not a duration`:          {"timeout": "-1s"},
		`"pull-request": "yes" is neither`:            {"pull-request": "yes"},
		`"fail-on": "everything" is none of`:          {"fail-on": "everything"},
		`"escape": "some" is none of`:                 {"escape": "some"},
		`"prompt-file": the input "prompt" says what`: {"prompt": "x", "prompt-file": "y"},
		`"command": an agent or a prompt is given`:    {"command": "x", "agent": "y"},
		`"prompt": it has more than 262144 bytes`:     {"prompt": strings.Repeat("x", maxInput+1)},
		`"prompt": it has a NUL`:                      {"prompt": "a\x00b"},
		`"token": it has more than one line`:          {"token": "a\rb"},
		`"post": "mail" is none of`:                   {"post": "mail"},
		`"post": none stands beside`:                  {"post": "none, status"},
		`"post": the issue is about`:                  {"post": "issue"},
		`"isolation": this version of bot-bottle`:     {"isolation": "vm"},
	} {
		_, err := ParseInputs(given)
		if err == nil || !strings.Contains(err.Error(), want) || runner.CodeOf(err) != runner.ExitUsage || len(term.Hints(err)) == 0 {
			t.Errorf("%v: got %v, wanted %s", given, err, want)
		}
	}
}

func TestAHandoverIsReadToItsEndAndNoFurther(t *testing.T) {
	r := strings.NewReader(`{"schema":1,"handle":"abcdefgh23","inputs":{"a":"b"}}` + "\nrest")
	h, err := ReadHandover(r)
	if err != nil || h.Handle != "abcdefgh23" || h.Inputs["a"] != "b" || h.runName() != "action-abcdefgh23" {
		t.Fatalf("%+v, %v", h, err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "rest" {
		t.Errorf("%q is left", rest)
	}
}

func TestWrongHandoversAreRefused(t *testing.T) {
	for _, line := range []string{
		"", "\n", "{}\n", `{"schema":1}`, `{"schema":2}` + "\n", `{"schema":1,"handle":"../../etc/x"}` + "\n",
		`{"schema":1,"more":1}` + "\n", `{"schema":1}{}` + "\n", strings.Repeat(" ", maxHandover+1) + "\n",
	} {
		if _, err := ReadHandover(strings.NewReader(line)); err == nil {
			t.Errorf("%.40q was taken", line)
		}
	}
}

func FuzzHandover(f *testing.F) {
	f.Add([]byte(`{"schema":1,"handle":"abcdefgh23","inputs":{"bottle":"a"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		h, err := parseHandover(line)
		if err == nil && h.Handle != "" && len(h.Handle) != 10 {
			t.Errorf("handle %q", h.Handle)
		}
		if err == nil {
			_, _ = ParseInputs(h.Inputs)
		}
	})
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEventFilesThatCantBeRead(t *testing.T) {
	dir := t.TempDir()
	huge := write(t, filepath.Join(dir, "huge"), "")
	if err := os.Truncate(huge, maxEventBytes+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                                     "the runner named none",
		filepath.Join(dir, "missing"):          "no such file",
		write(t, filepath.Join(dir, "0"), " "): "it is empty",
		write(t, filepath.Join(dir, "1"), "x"): "invalid character",
		write(t, filepath.Join(dir, "2"), `{"issue":[]}`): "cannot unmarshal",
		huge: "it has more than 26214400 bytes",
		dir:  "is a directory",
	} {
		if _, err := LoadEvent("push", path); err == nil || !strings.Contains(err.Error(), want) || runner.CodeOf(err) != runner.ExitUsage {
			t.Errorf("%s: got %v, wanted %s", path, err, want)
		}
	}
}

func TestAPromptFileIsAPlainFileOfTheWorkspace(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "work/sub/prompt.md"), "do it")
	write(t, filepath.Join(dir, "work/.git/config"), "token")
	write(t, filepath.Join(dir, "secret"), "secret")
	write(t, filepath.Join(dir, "work/empty"), "\n")
	write(t, filepath.Join(dir, "work/long"), strings.Repeat("x", maxInput+1))
	for _, link := range [][2]string{{"../secret", "link"}, {".git/config", "inside"}, {".git", "folder"}} {
		if err := os.Symlink(link[0], filepath.Join(dir, "work", link[1])); err != nil {
			t.Fatal(err)
		}
	}
	work := filepath.Join(dir, "work")
	if text, err := readPrompt(work, "./sub/prompt.md"); err != nil || text != "do it" {
		t.Errorf("%q, %v", text, err)
	}
	for name, want := range map[string]string{
		"link": "is a link", "inside": "is a link", "folder/config": "is a link", ".git/config": "repository's own files", ".GIT/config": "repository's own files",
		"../secret": "out of the workspace", dir + "/secret": "out of the workspace", "sub": "is a folder", "missing": "no such file", "empty": "it is empty", "long": "more than",
	} {
		if text, err := readPrompt(work, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; wanted %s", name, text, err, want)
		}
	}
}

func TestTheWorkspaceIsBelowTheJobs(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "work/a/.git/HEAD"), "x")
	write(t, filepath.Join(dir, "other/.git/HEAD"), "x")
	if err := os.Symlink("../other", filepath.Join(dir, "work/out")); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(dir, "work")
	for named, want := range map[string]string{"": "", "a": filepath.Join(work, "a"), filepath.Join(work, "a"): filepath.Join(work, "a")} {
		if got, err := findWorkspace(work, named); err != nil || got != want {
			t.Errorf("%q: %q, %v", named, got, err)
		}
	}
	if got, err := findWorkspace(filepath.Join(work, "a"), ""); err != nil || got != filepath.Join(work, "a") {
		t.Errorf("a checkout in the job's workspace: %q, %v", got, err)
	}
	for _, named := range []string{"out", "../other", "/", "missing"} {
		if got, err := findWorkspace(work, named); err == nil {
			t.Errorf("%q was taken: %q", named, got)
		}
	}
}

func result(code runner.ExitCode, refused int64) runner.Result {
	var r runner.Result
	r.Code = code
	r.Report.Doors.Doors = []report.Door{{Name: "egress", Refused: refused}}
	return r
}

func TestWhatFailsTheStep(t *testing.T) {
	for _, c := range []struct {
		code    runner.ExitCode
		refused int64
		on      []Failure
		want    runner.ExitCode
	}{
		{runner.ExitAgent, 0, defaultFailOn, runner.ExitAgent},
		{runner.ExitAgent, 0, []Failure{FailPost}, runner.ExitOK},
		{runner.ExitSettle, 0, []Failure{FailAgent}, runner.ExitOK},
		{runner.ExitSettle, 0, defaultFailOn, runner.ExitSettle},
		{runner.ExitUnproven, 0, nil, runner.ExitUnproven},
		{runner.ExitTimeLimit, 0, nil, runner.ExitTimeLimit},
		{runner.ExitBroken, 0, nil, runner.ExitBroken},
		{runner.ExitOK, 3, defaultFailOn, runner.ExitOK},
		{runner.ExitOK, 3, []Failure{FailRefused}, runner.ExitAgent},
		{runner.ExitAgent, 3, []Failure{FailRefused}, runner.ExitAgent},
		{runner.ExitOK, 0, failures, runner.ExitOK},
	} {
		if got := stepCode(result(c.code, c.refused), c.on); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

func TestOutputsCantBeForged(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "output"), "")
	if err := writeOutputs(path, []Output{{"a", "x"}, {"b", "y"}}); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	lines := strings.Split(string(b), "\n")
	if len(lines) != 7 || lines[0] == strings.Replace(lines[3], "b<<", "a<<", 1) || len(lines[2]) < 20 {
		t.Errorf("got %q", b)
	}
	if err := writeOutputs(path, []Output{{"a", "x\nverdict=passed"}}); err == nil {
		t.Error("a value of two lines was written")
	}
	if err := writeOutputs(filepath.Join(t.TempDir(), "missing"), []Output{{"a", "x"}}); err == nil || runner.CodeOf(err) != runner.ExitPost {
		t.Errorf("got %v", err)
	}
}

// page takes what is printed.
type page struct{ strings.Builder }

func (*page) Hurry() {}

func TestTheVoiceStartsItsLinesAfresh(t *testing.T) {
	var p page
	v := newVoice(&p, os.Getenv)
	v.Begin(runner.WorkStage)
	_, _ = io.WriteString(v.out, "unfinished")
	v.End(runner.WorkStage, time.Second, true)
	v.failure(errors.New("two\nlines ::error::x"))
	want := "::group::agent\nunfinished\n::endgroup::\nwork done after 1 s\n::error::bot-bottle: two lines ::error::x\n"
	if p.String() != want {
		t.Errorf("got %q", p.String())
	}
	p.Reset()
	v.line("::set-output name=a::b ##[add-path]x")
	if s := p.String(); strings.HasPrefix(s, "::") || strings.Contains(s, "##[") {
		t.Errorf("got %q", s)
	}
}
