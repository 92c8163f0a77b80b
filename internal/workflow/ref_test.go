package workflow

import (
	"regexp"
	"strings"
	"testing"
)

// tree is a source of what is written down.
type tree map[string]string

func (t tree) List(folder string) (names []string, err error) {
	for name := range t {
		if strings.HasPrefix(name, folder+"/") {
			names = append(names, name)
		}
	}
	return names, nil
}

func (t tree) Read(name string) ([]byte, error) { return []byte(t[name]), nil }

func TestWhichRefsAWorkflowStartsFor(t *testing.T) {
	const tag, below, tagsBelow, other = "refs/tags/v1.2", "refs/heads/bottle/*", "refs/tags/*", "refs/for/main"
	for _, c := range []struct {
		on, ref string
		exposed bool
	}{
		{"push", tag, true},
		{"create", tag, true},
		{"{ push: { tags: ['v*'] } }", tag, true},
		{"{ push: { tags: ['w*'] } }", tag, false},
		{"{ push: { tags: ['v*', '!v1.*'] } }", tag, false},
		{"{ push: { tags-ignore: ['v*'] } }", tag, false},
		{"{ push: { tags-ignore: ['w*'] } }", tag, true},
		{"{ push: { branches: ['**'] } }", tag, false},
		{"{ push: { branches-ignore: ['x'] } }", tag, false},
		{"{ push: { branches: ['**'], tags: [v1.2] } }", tag, true},
		{"{ push: { paths: ['src/**'] } }", tag, true},
		{"{ push: { branches: [main] } }", below, false},
		{"{ push: { branches: ['release/**', 'bot'] } }", below, false},
		{"{ push: { branches: ['bottle/fix'] } }", below, true},
		{"{ push: { branches: ['bottle/*'] } }", below, true},
		{"{ push: { branches: ['bx?ottle/y'] } }", below, true}, // for all that is compared
		{"{ push: { branches: ['**'] } }", below, true},
		{"{ push: { branches: ['**', '!bottle/**'] } }", below, false},
		{"{ push: { branches: ['**', '!bottle/*'] } }", below, true}, // bottle/a/b
		{"{ push: { branches-ignore: ['bottle/**'] } }", below, false},
		{"{ push: { branches-ignore: ['bottle/x'] } }", below, true},
		{"{ push: { branches-ignore: ['**', '!bottle/x'] } }", below, true},
		{"{ push: { tags: ['v*'] } }", tagsBelow, true},
		{"{ push: { tags-ignore: ['**'] } }", tagsBelow, false},
		{"{ push: { branches: [main] } }", other, true},
		{"issues", other, false},
	} {
		files := tree{".github/workflows/ci.yml": "on: " + c.on + "\njobs: { a: { runs-on: nixos } }"}
		if found := FindIn(files, c.ref); (len(found) == 1) != c.exposed {
			t.Errorf("%s for %s: %+v", c.on, c.ref, found)
		}
	}
}

// The name of a ref is the pusher's, and a pattern the repository's.
func TestPatternsAreComparedInLittleTime(t *testing.T) {
	name := strings.Repeat("a", 250)
	for pattern, want := range map[string]verdict{
		strings.Repeat("*a", 400) + "z": no, strings.Repeat("**a", 80) + "z": no, strings.Repeat("a?", 400): yes, strings.Repeat("**/", 80) + "a*": maybe,
	} {
		if got := readRef(branchPrefix + name).matches(pattern); got != want {
			t.Errorf("%.20s…: %d instead of %d", pattern, got, want)
		}
	}
}

func TestNamesOfWorkflowFiles(t *testing.T) {
	for name, good := range map[string]bool{
		".github/workflows/ci.yml": true, ".gitea/workflows/a/b c.yaml": true, ".forgejo/workflows/ü.yml": true,
		"ci.yml": false, ".github/workflows/*.yml": false, ".github/workflows/../x.yml": false, "./.github/workflows/x.yml": false,
		"/.github/workflows/x.yml": false, ".github/workflows/x": false, ".github/workflows": false, ".github/workflows/a\nb.yml": false, "": false,
		".GitHub/workflows/x.yml": false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What passes for one name below a prefix has to pass for all that is below it.
func FuzzAllBelow(f *testing.F) {
	f.Add("**,!bottle/*", "a/b", false)
	f.Add("bott?le/**", "x", true)
	f.Add("**/x,!b*", "x", false)
	f.Fuzz(func(t *testing.T, patterns, below string, ignore bool) {
		if len(patterns) > 200 || len(below) > 60 || strings.Contains(below, "*") {
			return
		}
		var list []any
		for p := range strings.SplitSeq(patterns, ",") {
			list = append(list, p)
		}
		filter := map[string]any{map[bool]string{false: "branches", true: "branches-ignore"}[ignore]: list}
		if readRef("refs/heads/bottle/"+below).passes(filter) && !readRef("refs/heads/bottle/*").passes(filter) {
			t.Errorf("%q passes by %v, and not all that is below", below, filter)
		}
	})
}

func FuzzMatchIsWhatARegularExpressionSays(f *testing.F) {
	f.Add("a*b?c**", "aab/c")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		r := ref{name: name}
		so := r.matches(pattern)
		if so == maybe || len(pattern) > 60 || len(name) > 60 || strings.Contains(name, "\n") {
			return
		}
		expression := regexp.MustCompile("^" + strings.NewReplacer(".", `\.`, "**", ".*", "*", "[^/]*", "?", "?", "^", `\^`, "$", `\$`, "(", `\(`, ")", `\)`, "|", `\|`, "{", `\{`, "}", `\}`).Replace(strings.ReplaceAll(pattern, "***", "**")) + "$")
		if expression.MatchString(name) != (so == yes) {
			t.Errorf("%q and %q: %d", pattern, name, so)
		}
	})
}
