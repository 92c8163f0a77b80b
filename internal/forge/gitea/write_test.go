package gitea

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/forgetest"
)

const sha = "1b4d7c0a2e1f4b0b8c1d2e3f4a5b6c7d8e9f0a1b"

func TestWhatIsWrittenIsWhatGiteasAPIHas(t *testing.T) {
	f, s := connect(t, "host-token", map[string]forgetest.Answer{
		"GET /api/v1/user":                      {Body: `{"id": -2, "login": "gitea-actions"}`},
		"POST " + repo + "/statuses/" + sha:     {Status: 201, Body: `{}`},
		"POST " + repo + "/issues/3/comments":   {Status: 201, Body: `{"id": 77, "body": "hi", "user": {"id": -2}}`},
		"PATCH " + repo + "/issues/comments/77": {Body: `{"id": 77}`},
		"POST " + repo + "/issues":              {Status: 201, Body: `{"number": 9, "title": "red", "html_url": "https://h/9", "user": {"id": -2}}`},
		"PATCH " + repo + "/issues/9":           {Status: 201, Body: `{"number": 9}`},
		"POST " + repo + "/pulls":               {Status: 201, Body: `{"number": 4, "html_url": "https://h/4"}`},
		"PATCH " + repo + "/pulls/4":            {Status: 201, Body: `{"number": 4}`},
	})
	ctx := t.Context()
	c, err := f.CreateComment(ctx, 3, "hi")
	if err != nil || c.ID != 77 || c.Author.ID != -2 {
		t.Errorf("comment %+v, %v", c, err)
	}
	i, err2 := f.CreateIssue(ctx, "red", "why")
	p, err3 := f.CreatePullRequest(ctx, forge.NewPullRequest{Title: "t", Body: "b", Head: "bottle/x", Base: "main"})
	u, err4 := f.Author(ctx)
	if i.Number != 9 || i.URL != "https://h/9" || p.Number != 4 || p.URL != "https://h/4" || u.ID != -2 {
		t.Errorf("issue %+v, pull request %+v, author %+v", i, p, u)
	}
	if err := errors.Join(err2, err3, err4,
		f.SetStatus(ctx, sha, forge.Status{Context: "bot-bottle", State: forge.Success, Description: "passed", URL: "https://h"}),
		f.EditComment(ctx, 77, "new"), f.EditIssue(ctx, 9, "better", true), f.EditPullRequest(ctx, 4, "t2", "b2"),
	); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`POST ` + repo + `/statuses/` + sha + ` {"state":"success","target_url":"https://h","description":"passed","context":"bot-bottle"}`,
		`POST ` + repo + `/issues/3/comments {"body":"hi"}`,
		`PATCH ` + repo + `/issues/comments/77 {"body":"new"}`,
	} {
		if !slices.Contains(s.Said(), want) {
			t.Errorf("nobody said %s\nbut: %s", want, strings.Join(s.Said(), "\n"))
		}
	}
	for _, want := range []string{`PATCH ` + repo + `/issues/9 {"title":"","body":"better"`, `"state":"closed"`, `POST ` + repo + `/pulls {"head":"bottle/x","base":"main","title":"t","body":"b"`, `PATCH ` + repo + `/pulls/4 {"title":"t2","body":"b2"`} {
		if !strings.Contains(strings.Join(s.Said(), "\n"), want) {
			t.Errorf("nobody said %s\nbut: %s", want, strings.Join(s.Said(), "\n"))
		}
	}
	for _, r := range s.Asked() {
		if got := r.Header.Get("Authorization"); got != "token job-token" {
			t.Errorf("%s was said as %q", r.URL.Path, got)
		}
	}
}

func TestOpenIssuesAreAllAndIssuesAlone(t *testing.T) {
	query := func(page string) string {
		return "GET " + repo + "/issues?limit=50&page=" + page + "&state=open&type=issues"
	}
	f, s := connect(t, "", map[string]forgetest.Answer{
		query("1"): {Body: `[{"id": 90, "number": 9, "title": "a", "user": {"id": 7}}, {"id": 80, "number": 8, "pull_request": {"merged": false}}]`},
		query("2"): {Body: `[{"id": 20, "number": 2, "title": "b"}]`},
		query("3"): {Body: `[]`},
	})
	got, err := f.OpenIssues(t.Context())
	if err != nil || len(got) != 2 || got[0].Number != 9 || got[0].Author.ID != 7 || got[1].Number != 2 {
		t.Errorf("%+v, %v\n%s", got, err, strings.Join(s.Said(), "\n"))
	}
}

func TestThePullRequestOfABranchIsOpenAndTheRepositorysOwn(t *testing.T) {
	side := func(ref, id string) string {
		return `{"ref": "` + ref + `", "sha": "` + sha + `", "repo": {"id": ` + id + `}}`
	}
	f, s := connect(t, "", map[string]forgetest.Answer{
		"GET " + repo + "/pulls?limit=50&page=1&state=open": {Body: `[
			{"id": 1, "number": 3, "head": ` + side("bottle/x", "2") + `, "base": ` + side("main", "1") + `},
			{"id": 2, "number": 4, "head": ` + side("bottle/x", "1") + `, "base": ` + side("main", "1") + `},
			{"id": 3, "number": 5, "head": ` + side("bottle/x", "1") + `, "base": ` + side("next", "1") + `}]`},
		"GET " + repo + "/pulls?limit=50&page=2&state=open": {Body: `[]`},
	})
	for base, want := range map[string]int64{"main": 4, "next": 5, "none": 0} {
		got, err := f.OpenPullRequest(t.Context(), "bottle/x", base)
		if err != nil || (got == nil) != (want == 0) || got != nil && got.Number != want {
			t.Errorf("%s: %+v, %v\n%s", base, got, err, strings.Join(s.Said(), "\n"))
		}
	}
}

func TestAMissingRightToWriteIsNamed(t *testing.T) {
	f, _ := connect(t, "", map[string]forgetest.Answer{"POST " + repo + "/statuses/" + sha: {Status: 403, Body: `{"message": "no"}`}})
	if err := f.SetStatus(t.Context(), sha, forge.Status{Context: "c", State: forge.Pending}); !errors.Is(err, forge.ErrRight) || !strings.Contains(err.Error(), sha) {
		t.Errorf("got %v", err)
	}
}
