package gitea

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/secret"
)

const repo = "/api/v1/repos/acme/widgets"

func connect(t *testing.T, host string, answers map[string]forgetest.Answer) (*Forge, *forgetest.Server) {
	t.Helper()
	s := forgetest.New(t, answers)
	f, err := New(Config{Server: s.URL, Repository: "acme/widgets", Job: secret.New("job", "job-token"), Host: secret.New("host", host)})
	if err != nil {
		t.Fatal(err)
	}
	return f, s
}

const permission = "GET " + repo + "/collaborators/ada/permission"

func TestAccessIsAskedAsTheHost(t *testing.T) {
	for word, level := range map[string]forge.Level{"owner": forge.LevelAdmin, "admin": forge.LevelAdmin, "write": forge.LevelWrite, "read": forge.LevelRead, "none": forge.LevelNone, "": forge.LevelNone} {
		f, s := connect(t, "host-token", map[string]forgetest.Answer{permission: {Body: fmt.Sprintf(`{"permission": %q, "role_name": %[1]q, "user": {"id": 11, "login": "ada"}}`, word)}})
		a, err := f.Access(t.Context(), "ada")
		if err != nil || a.Level != level || a.User.ID != 11 {
			t.Errorf("%q: %+v, %v", word, a, err)
		}
		for _, r := range s.Asked() {
			if got := r.Header.Get("Authorization"); got != "token host-token" || r.URL.Path == "/api/v1/version" {
				t.Errorf("%s was asked as %q", r.URL, got)
			}
		}
	}
}

func TestWithoutAHostsCredentialTheMissingRightIsNamed(t *testing.T) {
	f, s := connect(t, "", nil)
	_, err := f.Access(t.Context(), "ada")
	if !errors.Is(err, forge.ErrRight) || !strings.Contains(fmt.Sprint(err), "the host has no credential") || len(s.Asked()) != 0 {
		t.Errorf("got %v", err)
	}
}

func TestGiteasRefusalsAreToldApart(t *testing.T) {
	for status, want := range map[int]error{401: forge.ErrLogin, 403: forge.ErrRight, 404: forge.ErrAbsent} {
		f, _ := connect(t, "h", map[string]forgetest.Answer{permission: {Status: status, Body: `{"message": "Only admins can query all permissions"}`}})
		if _, err := f.Access(t.Context(), "ada"); !errors.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, a := range []forgetest.Answer{{Status: 500, Body: "<html>"}, {Body: "x"}, {Body: `{"permission": "admin"}`}, {Status: 302, Header: map[string]string{"Location": "/x"}}, {Body: strings.Repeat(" ", forge.MaxAnswerBytes+1)}} {
		f, _ := connect(t, "h", map[string]forgetest.Answer{permission: a})
		if access, err := f.Access(t.Context(), "ada"); err == nil {
			t.Errorf("%d %.20q: %+v", a.Status, a.Body, access)
		}
	}
}

func TestPullRequestsAreReadAsTheJob(t *testing.T) {
	for head, id := range map[string]int64{`{"id": 9901, "full_name": "mallory/widgets"}`: 9901, "null": 0} {
		f, s := connect(t, "h", map[string]forgetest.Answer{"GET " + repo + "/pulls/7": {Body: `{"number": 7, "title": "T", "user": {"id": 12, "login": "bob"}, "created_at": "2026-11-20T09:00:00+01:00",
			"head": {"ref": "corners", "sha": "abc", "repo": ` + head + `}, "base": {"ref": "main", "sha": "def", "repo": {"id": 4217, "full_name": "acme/widgets"}}}`}})
		pr, err := f.PullRequest(t.Context(), 7)
		if err != nil || pr.Head.ID != id || pr.Base.ID != 4217 || pr.HeadSHA != "abc" || pr.Created.IsZero() {
			t.Errorf("%+v, %v", pr, err)
		}
		if got := s.Asked()[0].Header.Get("Authorization"); got != "token job-token" {
			t.Errorf("asked as %q", got)
		}
	}
	f, _ := connect(t, "h", map[string]forgetest.Answer{"GET " + repo + "/pulls/7": {Body: `{}`}})
	if pr, err := f.PullRequest(t.Context(), 7); err == nil {
		t.Errorf("got %+v", pr)
	}
}

func TestThePushOfTheTimelineCounts(t *testing.T) {
	created := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	entry := func(id int, kind, at, body string) string {
		return fmt.Sprintf(`{"id": %d, "type": %q, "created_at": %q, "body": %q}`, id, kind, at, body)
	}
	first := entry(1, "pull_push", "2026-11-21T08:00:00Z", `{"is_force_push":false,"commit_ids":["x","old"]}`)
	second := entry(2, "pull_push", "2026-11-22T08:00:00Z", `{"is_force_push":true,"commit_ids":["old","abc"]}`)
	comment := entry(3, "comment", "2026-11-23T08:00:00Z", `{"commit_ids":["evil"]}`)
	for body, want := range map[string]time.Time{
		"[" + first + "," + second + "," + comment + "]": time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC),
		"[" + comment + "]": {},
		"[]":                {},
		"[" + first + "]":   {},
	} {
		f, _ := connect(t, "h", map[string]forgetest.Answer{
			"GET " + repo + "/issues/7/timeline?limit=50&page=1": {Body: body},
			"GET " + repo + "/issues/7/timeline?limit=50&page=2": {Body: "[]"},
		})
		at, err := f.PushedAt(t.Context(), forge.PullRequest{Number: 7, HeadSHA: "abc", Created: created})
		if want.IsZero() != errors.Is(err, forge.ErrUnknown) || !at.Equal(want) {
			t.Errorf("%s: %v, %v", body, at, err)
		}
	}
}

// Gitea's list of an issue's comments is whole, whichever page is asked for.
func TestCommentsThatKnowNoPagesAreReadOnce(t *testing.T) {
	f, s := connect(t, "h", map[string]forgetest.Answer{"GET " + repo + "/issues/3/comments": {Body: `[
		{"id": 2, "body": "b", "created_at": "2026-11-23T09:00:00Z", "user": {"id": 12, "login": "bob"}},
		{"id": 1, "body": "a", "created_at": "2026-11-23T08:00:00Z", "user": null}]`}})
	list, err := f.Comments(t.Context(), 3)
	if err != nil || len(list) != 2 || list[0].ID != 1 || list[1].Author.Login != "bob" || len(s.Asked()) != 2 {
		t.Errorf("%+v, %v, asked %d times", list, err, len(s.Asked()))
	}
}

func TestAnEndlessAnswerIsAnError(t *testing.T) {
	n := int64(0)
	_, err := pages(func(int) ([]int64, error) { n++; return []int64{n}, nil }, func(i int64) int64 { return i })
	if !errors.Is(err, errManyPages) {
		t.Errorf("got %v", err)
	}
}
