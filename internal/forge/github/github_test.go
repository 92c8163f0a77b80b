package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/secret"
)

const repo = "/repos/acme/widgets"

func connect(t *testing.T, answers map[string]forgetest.Answer) (*Forge, *forgetest.Server) {
	t.Helper()
	s := forgetest.New(t, answers)
	f, err := New(Config{API: s.URL, Repository: "acme/widgets", Token: secret.New("token", "job-token")})
	if err != nil {
		t.Fatal(err)
	}
	return f, s
}

func TestAccessIsWhatGitHubSays(t *testing.T) {
	for word, level := range map[string]forge.Level{"admin": forge.LevelAdmin, "write": forge.LevelWrite, "read": forge.LevelRead, "none": forge.LevelNone, "owner-ish": forge.LevelNone, "": forge.LevelNone} {
		f, s := connect(t, map[string]forgetest.Answer{
			"GET " + repo + "/collaborators/ada/permission": {Body: fmt.Sprintf(`{"permission": %q, "role_name": "maintain", "user": {"login": "ada", "id": 11}}`, word)},
		})
		a, err := f.Access(t.Context(), "ada")
		if err != nil || a.Level != level || a.User.ID != 11 {
			t.Errorf("%q: %+v, %v", word, a, err)
		}
		if got := s.Asked()[0].Header.Get("Authorization"); got != "Bearer job-token" {
			t.Errorf("asked as %q", got)
		}
	}
}

func TestGitHubsRefusalsAreToldApart(t *testing.T) {
	const path = "GET " + repo + "/collaborators/ada/permission"
	for status, want := range map[int]error{401: forge.ErrLogin, 403: forge.ErrRight, 404: forge.ErrAbsent} {
		f, _ := connect(t, map[string]forgetest.Answer{path: {Status: status, Body: `{"message": "no"}`}})
		if _, err := f.Access(t.Context(), "ada"); !errors.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, a := range []forgetest.Answer{{Status: 500, Body: "<html>"}, {Body: "not JSON"}, {Status: 302, Header: map[string]string{"Location": "/elsewhere"}}, {Body: `"` + strings.Repeat("x", forge.MaxAnswerBytes) + `"`}} {
		f, _ := connect(t, map[string]forgetest.Answer{path: a})
		if access, err := f.Access(t.Context(), "ada"); err == nil || access.Level.CanWrite() {
			t.Errorf("%d: %+v, %v", a.Status, access, err)
		}
	}
}

func TestALoginThatIsNoneIsNotAsked(t *testing.T) {
	f, s := connect(t, nil)
	for _, login := range []string{"", "a/b", "..", "a?x=y", "a b", strings.Repeat("a", 200)} {
		if _, err := f.Access(t.Context(), login); err == nil {
			t.Errorf("%q was taken", login)
		}
	}
	if n := len(s.Asked()); n != 0 {
		t.Errorf("GitHub was asked %d times", n)
	}
}

func TestACredentialDoesNotFollowRedirects(t *testing.T) {
	other := forgetest.New(t, nil)
	f, _ := connect(t, map[string]forgetest.Answer{"GET /user": {Status: 301, Header: map[string]string{"Location": other.URL + "/user"}}})
	if _, err := f.Self(t.Context()); err == nil {
		t.Error("a redirect is an answer")
	}
	if n := len(other.Asked()); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

func TestAnotherForgeThatHangsEndsWithTheContext(t *testing.T) {
	release := make(chan struct{})
	f, _ := connect(t, map[string]forgetest.Answer{"GET /user": {Do: func(http.ResponseWriter, *http.Request) { <-release }}})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.Self(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

const pull = `{"number": 7, "title": "T", "body": "B", "created_at": "2026-11-20T08:00:00Z", "user": {"login": "bob", "id": 12},
 "head": {"ref": "corners", "sha": "abc", "repo": %s}, "base": {"ref": "main", "sha": "def", "repo": {"id": 4217, "full_name": "acme/widgets"}}}`

func TestPullRequestsHaveTheirRepositoriesIDs(t *testing.T) {
	for head, id := range map[string]int64{`{"id": 9901, "full_name": "mallory/widgets"}`: 9901, "null": 0} {
		f, _ := connect(t, map[string]forgetest.Answer{"GET " + repo + "/pulls/7": {Body: fmt.Sprintf(pull, head)}})
		pr, err := f.PullRequest(t.Context(), 7)
		if err != nil || pr.Head.ID != id || pr.Base.ID != 4217 || pr.HeadSHA != "abc" || pr.BaseSHA != "def" || pr.Author.ID != 12 {
			t.Errorf("%+v, %v", pr, err)
		}
	}
}

func TestPushTimesAreTheServers(t *testing.T) {
	pr := forge.PullRequest{HeadRef: "corners", HeadSHA: "abc"}
	for body, known := range map[string]bool{
		`[{"after": "abc", "ref": "refs/heads/corners", "timestamp": "2026-11-23T08:00:00Z", "activity_type": "push"}]`: true,
		`[{"after": "old", "ref": "refs/heads/corners", "timestamp": "2026-11-23T08:00:00Z"}]`:                          false,
		`[{"after": "abc"}]`: false,
		`[]`:                 false,
	} {
		f, s := connect(t, map[string]forgetest.Answer{"GET " + repo + "/activity": {Body: body}})
		at, err := f.PushedAt(t.Context(), pr)
		if known && (err != nil || !at.Equal(time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC))) || !known && !errors.Is(err, forge.ErrUnknown) {
			t.Errorf("%s: %v, %v", body, at, err)
		}
		if q := s.Asked()[0].URL.Query(); q.Get("ref") != "refs/heads/corners" || q.Get("direction") != "desc" {
			t.Errorf("asked %v", q)
		}
	}
}

func TestCommentsComePageByPage(t *testing.T) {
	f, s := connect(t, nil)
	path := repo + "/issues/3/comments?direction=asc&"
	page := func(id int) string {
		return fmt.Sprintf(`[{"id": %d, "body": "b", "created_at": "2026-11-23T08:00:00Z", "user": {"login": "bob", "id": 12}}]`, id)
	}
	s.Answers = map[string]forgetest.Answer{
		"GET " + path + "per_page=100&sort=created":        {Body: page(1), Header: map[string]string{"Link": "<" + s.URL + path + `page=2>; rel="next"`}},
		"GET " + path + "page=2&per_page=100&sort=created": {Body: page(2)},
	}
	list, err := f.Comments(t.Context(), 3)
	if err != nil || len(list) != 2 || list[1].ID != 2 || list[0].Author.Login != "bob" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestAnEndlessThreadEnds(t *testing.T) {
	f, s := connect(t, nil)
	s.Answers = map[string]forgetest.Answer{"GET " + repo + "/issues/3/comments": {Body: `[]`, Header: map[string]string{"Link": "<" + s.URL + `/x?page=2>; rel="next"`}}}
	if _, err := f.Comments(t.Context(), 3); err == nil || len(s.Asked()) != maxPages {
		t.Errorf("asked %d times, %v", len(s.Asked()), err)
	}
}

func TestARepositoryThatIsNoneIsRefused(t *testing.T) {
	for _, name := range []string{"", "a", "a/b/c", "a/..", "/b", "a/"} {
		if _, err := New(Config{API: "https://api.github.com", Repository: name}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}
