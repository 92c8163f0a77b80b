package github

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/forgetest"
)

const sha = "1b4d7c0a2e1f4b0b8c1d2e3f4a5b6c7d8e9f0a1b"

func TestAJobsTokenWritesAsTheActionsBot(t *testing.T) {
	f, _ := connect(t, map[string]forgetest.Answer{
		"GET /user":                      {Status: 403, Body: `{"message": "Resource not accessible by integration"}`},
		"GET /users/github-actions[bot]": {Body: `{"id": 41898282, "login": "github-actions[bot]"}`},
	})
	if u, err := f.Author(t.Context()); err != nil || u.ID != 41898282 {
		t.Errorf("got %+v, %v", u, err)
	}
	f, _ = connect(t, map[string]forgetest.Answer{"GET /user": {Body: `{"id": 7, "login": "ada"}`}})
	if u, err := f.Author(t.Context()); err != nil || u.ID != 7 {
		t.Errorf("got %+v, %v", u, err)
	}
	f, _ = connect(t, map[string]forgetest.Answer{"GET /user": {Status: 401, Body: `{}`}})
	if _, err := f.Author(t.Context()); !errors.Is(err, forge.ErrLogin) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsWrittenIsWhatGitHubsReferenceHas(t *testing.T) {
	f, s := connect(t, map[string]forgetest.Answer{
		"POST " + repo + "/statuses/" + sha:     {Status: 201, Body: `{}`},
		"POST " + repo + "/issues/3/comments":   {Status: 201, Body: `{"id": 77, "body": "hi", "user": {"id": 7}}`},
		"PATCH " + repo + "/issues/comments/77": {Body: `{"id": 77}`},
		"POST " + repo + "/issues":              {Status: 201, Body: `{"number": 9, "title": "red", "html_url": "https://h/9", "user": {"id": 7}}`},
		"PATCH " + repo + "/issues/9":           {Body: `{"number": 9}`},
		"POST " + repo + "/pulls":               {Status: 201, Body: `{"number": 4, "html_url": "https://h/4"}`},
		"PATCH " + repo + "/pulls/4":            {Body: `{"number": 4}`},
	})
	ctx := t.Context()
	c, err := f.CreateComment(ctx, 3, "hi")
	if err != nil || c.ID != 77 || c.Author.ID != 7 {
		t.Errorf("comment %+v, %v", c, err)
	}
	i, err2 := f.CreateIssue(ctx, "red", "why")
	p, err3 := f.CreatePullRequest(ctx, forge.NewPullRequest{Title: "t", Body: "b", Head: "bottle/x", Base: "main"})
	if i.Number != 9 || i.URL != "https://h/9" || p.Number != 4 || p.URL != "https://h/4" {
		t.Errorf("issue %+v, pull request %+v", i, p)
	}
	if err := errors.Join(err2, err3,
		f.SetStatus(ctx, sha, forge.Status{Context: "bot-bottle", State: forge.Success, Description: "passed", URL: "https://h"}),
		f.EditComment(ctx, 77, "new"), f.EditIssue(ctx, 9, "better", true), f.EditIssue(ctx, 9, "worse", false), f.EditPullRequest(ctx, 4, "t2", "b2"),
	); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`POST ` + repo + `/statuses/` + sha + ` {"state":"success","target_url":"https://h","description":"passed","context":"bot-bottle"}`,
		`POST ` + repo + `/issues/3/comments {"body":"hi"}`,
		`PATCH ` + repo + `/issues/comments/77 {"body":"new"}`,
		`POST ` + repo + `/issues {"title":"red","body":"why"}`,
		`PATCH ` + repo + `/issues/9 {"body":"better","state":"closed"}`,
		`PATCH ` + repo + `/issues/9 {"body":"worse"}`,
		`POST ` + repo + `/pulls {"title":"t","head":"bottle/x","base":"main","body":"b"}`,
		`PATCH ` + repo + `/pulls/4 {"title":"t2","body":"b2"}`,
	} {
		if !slices.Contains(s.Said(), want) {
			t.Errorf("nobody said %s\nbut: %s", want, strings.Join(s.Said(), "\n"))
		}
	}
}

func TestOpenIssuesAreAllAndIssuesAlone(t *testing.T) {
	const path = "GET " + repo + "/issues?per_page=100&state=open"
	page := func(link, body string) forgetest.Answer {
		return forgetest.Answer{Header: map[string]string{"Link": link}, Body: body}
	}
	first := `[{"number": 9, "title": "a", "user": {"id": 7}}, {"number": 8, "pull_request": {"url": "x"}}]`
	for next, query := range map[string]string{"&page=2": "page=2&per_page=100&state=open", "&after=Y3Vyc29y": "after=Y3Vyc29y&per_page=100&state=open"} {
		f, s := connect(t, nil)
		s.Answers = map[string]forgetest.Answer{
			path:                               page("<"+s.URL+repo+"/issues?state=open&per_page=100"+next+`>; rel="next"`, first),
			"GET " + repo + "/issues?" + query: page("", `[{"number": 2, "title": "b"}]`),
		}
		got, err := f.OpenIssues(t.Context())
		if err != nil || len(got) != 2 || got[0].Number != 9 || got[0].Author.ID != 7 || got[1].Number != 2 {
			t.Errorf("%s: %+v, %v", next, got, err)
		}
	}
	f, _ := connect(t, map[string]forgetest.Answer{path: {Status: 403, Body: `{}`}})
	if _, err := f.OpenIssues(t.Context()); !errors.Is(err, forge.ErrRight) {
		t.Errorf("got %v", err)
	}
}

func TestThePullRequestOfABranchIsTheRepositorysOwn(t *testing.T) {
	pr := func(number, head int, ref string) map[string]any {
		side := func(id int, ref string) map[string]any {
			return map[string]any{"ref": ref, "sha": sha, "repo": map[string]any{"id": id}}
		}
		return map[string]any{"number": number, "head": side(head, ref), "base": side(1, "main")}
	}
	for name, c := range map[string]struct {
		list []map[string]any
		want int64
	}{
		"ours":                        {[]map[string]any{pr(3, 2, "bottle/x"), pr(4, 1, "bottle/x")}, 4},
		"a fork's of the same name":   {[]map[string]any{pr(3, 2, "bottle/x")}, 0},
		"the filter was not honoured": {[]map[string]any{pr(3, 1, "other")}, 0},
		"none":                        {nil, 0},
	} {
		body, _ := json.Marshal(c.list)
		f, _ := connect(t, map[string]forgetest.Answer{"GET " + repo + "/pulls?base=main&head=acme%3Abottle%2Fx&state=open": {Body: string(body)}})
		got, err := f.OpenPullRequest(t.Context(), "bottle/x", "main")
		if err != nil || (got == nil) != (c.want == 0) || got != nil && got.Number != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAMissingRightToWriteIsNamed(t *testing.T) {
	f, _ := connect(t, map[string]forgetest.Answer{
		"POST " + repo + "/statuses/" + sha: {Status: 403, Body: `{"message": "Resource not accessible by integration"}`},
	})
	err := f.SetStatus(t.Context(), sha, forge.Status{Context: "c", State: forge.Pending})
	if !errors.Is(err, forge.ErrRight) {
		t.Errorf("got %v", err)
	}
	f, _ = connect(t, map[string]forgetest.Answer{"POST " + repo + "/issues/3/comments": {Status: 201, Body: `{}`}})
	if _, err := f.CreateComment(t.Context(), 3, "hi"); !errors.Is(err, errNoAnswer) {
		t.Errorf("got %v", err)
	}
}
