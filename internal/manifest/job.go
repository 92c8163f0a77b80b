package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/term"
)

// Job is what a runner says of the job that asks for a bottle: what `for` is
// judged against. The fields are as the forge writes them.
type Job struct {
	Server     string // of the forge, as a browser has it; no part of what is judged
	Repository string // "owner/name"
	Event      string // name of the event, such as "issue_comment"
	Ref        string // full, such as "refs/heads/main"
}

// For is a bottle's `for`: the jobs that it serves. Each list holds patterns, of
// which one has to match: "*" stands for anything within a path element, "**"
// for anything. Repositories are compared without regard to the case of ASCII
// letters, as forges do.
type For struct {
	Repositories []string // never empty
	Events       []string // empty: every event
	Refs         []string // empty: every ref
}

func (r *reader) serves(n ast.Node, at string) For {
	var f For
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"repositories": func(n ast.Node, at string) { f.Repositories = r.patterns(n, at, checkRepository) },
			"events":       func(n ast.Node, at string) { f.Events = r.patterns(n, at, checkEvent) },
			"refs":         func(n ast.Node, at string) { f.Refs = r.patterns(n, at, checkRef) },
		},
		required: []string{"repositories"},
	})
	return f
}

// Bounds of `for`, far above what people list.
const (
	maxPatterns = 1024
	maxPattern  = 256
)

func (r *reader) patterns(n ast.Node, at string, check func(string) (hint string, err error)) []string {
	var all []string
	faults := len(r.faults)
	r.list(n, at, func(n ast.Node, at string) {
		text, ok := r.text(n, at)
		if !ok {
			return
		}
		hint, err := checkPattern(text)
		if err == nil {
			hint, err = check(text)
		}
		if err != nil {
			r.at(at, hint, err)
		}
		all = append(all, text)
	})
	if len(r.faults) == faults && (len(all) == 0 || len(all) > maxPatterns) {
		r.at(at, `write at least one pattern, such as "owner/name"; "**" matches everything`, fmt.Errorf("it has %d patterns", len(all)))
	}
	return all
}

func checkPattern(text string) (hint string, err error) {
	if text == "" || len(text) > maxPattern || hasControl(text) || strings.ContainsAny(text, " ?[]{}!\\") {
		return `"*" and "**" are the only wildcards`, fmt.Errorf("%.80q is no pattern", text)
	}
	return "", nil
}

func checkRepository(text string) (hint string, err error) {
	if text != "**" && strings.Count(text, "/") != 1 {
		return `write "owner/name", or "owner/*" for all of an owner's`, fmt.Errorf("%q is not a repository's owner and name", text)
	}
	return "", nil
}

func checkEvent(text string) (hint string, err error) {
	if strings.Contains(text, "/") {
		return "write the event's name, such as issue_comment", fmt.Errorf("%q is no event", text)
	}
	return "", nil
}

func checkRef(text string) (hint string, err error) {
	if text != "**" && !strings.HasPrefix(text, "refs/") {
		return fmt.Sprintf("write it in full: refs/heads/%s or refs/tags/%[1]s", text), fmt.Errorf("%q is not a whole ref", text)
	}
	return "", nil
}

// CheckFor tells whether the bottle may be used by job; where it may not, the
// error says which pattern would. A bottle that names no repositories serves no
// job of a runner.
func (b Bottle) CheckFor(job Job) error {
	if mutation.On(mutation.BottleAnyJob) {
		return nil
	}
	if len(b.For) == 0 {
		return term.Errorf(term.StageManifest, b.Path, "checking bottle %q: it doesn't name the repositories that it serves", b.Name).
			WithHint("a runner takes jobs of many repositories; in a bottle of the host write `for: {repositories: [%q]}`", job.Repository)
	}
	var errs []error
	for _, f := range b.For {
		errs = append(errs, f.check(b, job))
	}
	return errors.Join(errs...)
}

func (f For) check(b Bottle, job Job) error {
	refused := func(key, what, value string) error {
		return term.Errorf(term.StageManifest, b.Path, "checking bottle %q: it doesn't serve %s %q", b.Name, what, value).
			WithHint("whoever owns the host can add it to the bottle's `for.%s`", key)
	}
	switch {
	case !matches(f.Repositories, job.Repository, true):
		return refused("repositories", "repository", job.Repository)
	case len(f.Events) > 0 && !matches(f.Events, job.Event, false):
		return refused("events", "event", job.Event)
	case len(f.Refs) > 0 && !matches(f.Refs, job.Ref, false):
		return refused("refs", "ref", job.Ref)
	}
	return nil
}

// matches tells whether one of the patterns matches value, which is not empty.
func matches(patterns []string, value string, fold bool) bool {
	return value != "" && slices.ContainsFunc(patterns, func(p string) bool {
		if fold {
			return glob(asciiLower(p)).MatchString(asciiLower(value))
		}
		return glob(p).MatchString(value)
	})
}

// glob makes a regular expression of a pattern that checkPattern has taken.
func glob(pattern string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*\*`, `.*`)
	quoted = strings.ReplaceAll(quoted, `\*`, `[^/]*`)
	return regexp.MustCompile(`\A(?s:` + quoted + `)\z`)
}

// asciiLower leaves letters alone whose lower case is another's, such as the
// Kelvin sign: no forge takes them for one.
func asciiLower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}
