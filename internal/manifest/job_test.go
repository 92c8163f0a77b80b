package manifest_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
)

func TestABottleServesTheJobsThatForMatches(t *testing.T) {
	const whole = "for: {repositories: [Acme/web, acme/lib-*], events: [push, issue_*], refs: [refs/heads/main, refs/tags/**]}"
	for _, c := range []struct {
		yaml string
		job  manifest.Job
		want string // of the error; empty: it serves
	}{
		{whole, manifest.Job{Repository: "acme/WEB", Event: "push", Ref: "refs/heads/main"}, ""},
		{whole, manifest.Job{Repository: "acme/lib-x", Event: "issue_comment", Ref: "refs/tags/v1/rc"}, ""},
		{whole, manifest.Job{Repository: "acme/lib-", Event: "push", Ref: "refs/tags/"}, ""},
		{whole, manifest.Job{Repository: "acme/webs", Event: "push", Ref: "refs/heads/main"}, `repository "acme/webs"`},
		{whole, manifest.Job{Repository: "evil/acme/web", Event: "push", Ref: "refs/heads/main"}, `repository "evil/acme/web"`},
		{whole, manifest.Job{Repository: "acme/lib-x/y", Event: "push", Ref: "refs/heads/main"}, `repository "acme/lib-x/y"`},
		{whole, manifest.Job{Repository: "acme/web\n", Event: "push", Ref: "refs/heads/main"}, `repository`},
		{whole, manifest.Job{Repository: "", Event: "push", Ref: "refs/heads/main"}, `repository ""`},
		{whole, manifest.Job{Repository: "acme/web", Event: "pull_request_target", Ref: "refs/heads/main"}, `event "pull_request_target"`},
		{whole, manifest.Job{Repository: "acme/web", Event: "Push", Ref: "refs/heads/main"}, `event "Push"`},
		{whole, manifest.Job{Repository: "acme/web", Event: "push", Ref: "refs/heads/Main"}, `ref "refs/heads/Main"`},
		{whole, manifest.Job{Repository: "acme/web", Event: "push", Ref: "refs/heads/main/x"}, `ref "refs/heads/main/x"`},
		{whole, manifest.Job{Repository: "acme/web", Event: "push", Ref: ""}, `ref ""`},
		{"for: {repositories: [\"**\"]}", manifest.Job{Repository: "any/thing", Event: "x", Ref: ""}, ""},
		{"for: {repositories: [\"**\"]}", manifest.Job{}, `repository ""`},
		{"for: {repositories: [\"a.b/c+d\"]}", manifest.Job{Repository: "axb/ccd", Event: "", Ref: ""}, `repository "axb/ccd"`},
		{"for: {repositories: [\"k/r\"]}", manifest.Job{Repository: "\u212a/r", Event: "", Ref: ""}, "repository"}, // the Kelvin sign
		{"env: {}", manifest.Job{Repository: "acme/web", Event: "push", Ref: "refs/heads/main"}, "it doesn't name the repositories that it serves"},
	} {
		err := bottle(t, c.yaml).CheckFor(c.job)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s, %+v: %v", c.yaml, c.job, err)
		}
	}
}

// A bottle for one repository must not come to serve another because it is named
// beside a bottle for that.
func TestEveryBottleThatIsNamedHasToServeTheJob(t *testing.T) {
	dir := files(t, map[string]string{"secrets": "for: {repositories: [acme/web]}", "open": "for: {repositories: [\"**\"]}", "none": ""})
	for _, names := range []string{"secrets open", "open secrets", "open none secrets"} {
		b := merged(t, dir, strings.Fields(names)...)
		if err := b.CheckFor(manifest.Job{Repository: "evil/x"}); err == nil {
			t.Errorf("%s serves evil/x", names)
		}
		if err := b.CheckFor(manifest.Job{Repository: "acme/web"}); err != nil {
			t.Errorf("%s: %v", names, err)
		}
	}
}

func TestAChildSaysWhomItServesOrServesWhomItsParentDoes(t *testing.T) {
	dir := files(t, map[string]string{"base": "for: {repositories: [a/b]}", "same": "extends: base", "other": "extends: base\nfor: {repositories: [c/d]}"})
	for name, want := range map[string]string{"same": "a/b", "other": "c/d"} {
		b := merged(t, dir, name)
		if len(b.For) != 1 || strings.Join(b.For[0].Repositories, " ") != want {
			t.Errorf("%s serves %+v", name, b.For)
		}
	}
}

func TestWhatIsWrongInFor(t *testing.T) {
	const wild = "\nhint: \"*\" and \"**\" are the only wildcards"
	const some = "\nhint: write at least one pattern, such as \"owner/name\"; \"**\" matches everything"
	messages(t, manifest.Bottles, map[string]string{
		"for: [me/repo]":                                "error: dev.md:2: for: it is a list, not keys and values\nhint: give a single value",
		"for: {}":                                       "error: dev.md:2: for.repositories: it is missing",
		"for: {events: [push]}":                         "error: dev.md:2: for.repositories: it is missing",
		"for: {repositories: []}":                       "error: dev.md:2: for.repositories: it has 0 patterns" + some,
		"for: {repositories: [web]}":                    "error: dev.md:2: for.repositories[0]: \"web\" is not a repository's owner and name\nhint: write \"owner/name\", or \"owner/*\" for all of an owner's",
		"for: {repositories: [\"*\"]}":                  "error: dev.md:2: for.repositories[0]: \"*\" is not a repository's owner and name\nhint: write \"owner/name\", or \"owner/*\" for all of an owner's",
		"for: {repositories: [a/b/c]}":                  "error: dev.md:2: for.repositories[0]: \"a/b/c\" is not a repository's owner and name\nhint: write \"owner/name\", or \"owner/*\" for all of an owner's",
		"for: {repositories: [\"a/[bc]\"]}":             "error: dev.md:2: for.repositories[0]: \"a/[bc]\" is no pattern" + wild,
		"for: {repositories: [\"!a/b\"]}":               "error: dev.md:2: for.repositories[0]: \"!a/b\" is no pattern" + wild,
		"for: {repositories: [a/b], events: [on/push]}": "error: dev.md:2: for.events[0]: \"on/push\" is no event\nhint: write the event's name, such as issue_comment",
		"for: {repositories: [a/b], refs: [main]}":      "error: dev.md:2: for.refs[0]: \"main\" is not a whole ref\nhint: write it in full: refs/heads/main or refs/tags/main",
		"for: {repositories: [a/b], branches: [main]}":  "error: dev.md:2: for.branches: unknown key\nhint: known here: events, refs, repositories",
	})
}
