// Package workflow reads a checkout's workflow files, as far as is needed to tell
// which of their jobs would run what an agent pushes on the host itself. It reads
// what strangers wrote: within bounds, and what it can't read counts as exposed.
package workflow

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// Folders are where the forges look for workflows.
var Folders = []string{".github/workflows", ".gitea/workflows", ".forgejo/workflows"}

// Bounds on what is read.
const (
	maxFile    = 128 << 10
	maxFiles   = 200
	maxNesting = 32
)

// Exposed is a job that would run what was pushed to a branch of an agent's.
type Exposed struct {
	File  string // path in the checkout
	Job   string // its key; empty: the file can't be read, and any job of it may
	On    string // the event: push, pull_request
	Label string // what it runs on; empty: the file doesn't say
}

// file is what of a workflow is looked at.
type file struct {
	On   any
	Jobs map[string]struct {
		RunsOn    any `yaml:"runs-on"`
		Container any
	}
}

// Find gives the jobs in the checkout dir that would run on the host what is
// pushed to branch. A checkout without workflows has none.
func Find(dir, branch string) ([]Exposed, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the checkout: %w", err)
	}
	defer root.Close()
	var found []Exposed
	for _, folder := range Folders {
		entries, err := fs.ReadDir(root.FS(), folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the workflows: %w", err)
		}
		for _, e := range entries[:min(len(entries), maxFiles)] {
			if ext := path.Ext(e.Name()); ext == ".yml" || ext == ".yaml" {
				found = append(found, exposedBy(root, path.Join(folder, e.Name()), branch)...)
			}
		}
	}
	return found, nil
}

func exposedBy(root *os.Root, name, branch string) []Exposed {
	b, err := read(root, name)
	if err != nil {
		return []Exposed{{File: name}}
	}
	return Judge(name, b, branch)
}

func read(root *os.Root, name string) ([]byte, error) {
	info, err := root.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, errors.New("not a file of a workflow's size")
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// Judge gives the exposed jobs of the workflow that b holds, in the order of their
// names.
func Judge(name string, b []byte, branch string) []Exposed {
	var w file
	if !plain(b) || yaml.Unmarshal(b, &w) != nil {
		return []Exposed{{File: name}}
	}
	on := event(w.On, branch)
	if on == "" {
		return nil
	}
	var found []Exposed
	for job, j := range w.Jobs {
		if j.Container != nil {
			continue
		}
		if label, own := ownMachine(j.RunsOn); own {
			found = append(found, Exposed{name, job, on, label})
		}
	}
	slices.SortFunc(found, func(a, b Exposed) int { return strings.Compare(a.Job, b.Job) })
	return found
}

// plain tells whether b can be decoded in time that grows with its size: without
// aliases, which can multiply it, and without deep brackets.
func plain(b []byte) bool {
	depth := 0
	for _, t := range lexer.Tokenize(string(b)) {
		switch t.Type {
		case token.AliasType, token.MergeKeyType:
			return false
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > maxNesting {
			return false
		}
	}
	return true
}

// pushed are the events whose jobs run what a branch holds.
var pushed = []string{"push", "pull_request", "create"}

// event gives the first event of on that happens because of a push to branch, and
// whose jobs take that branch's content; or "".
func event(on any, branch string) string {
	switch on := on.(type) {
	case string:
		return among(on)
	case []any:
		for _, name := range on {
			if e := among(fmt.Sprint(name)); e != "" {
				return e
			}
		}
	case map[string]any:
		for _, name := range pushed {
			if filter, has := on[name]; has && (name != "push" || takes(filter, branch)) {
				return name
			}
		}
	}
	return ""
}

func among(name string) string {
	if slices.Contains(pushed, name) {
		return name
	}
	return ""
}

// takes tells whether the filter of a push event lets branch through: `branches`,
// `branches-ignore`, or only `tags` (GitHub's workflow syntax, which Gitea's and
// Forgejo's is).
func takes(filter any, branch string) bool {
	f, _ := filter.(map[string]any)
	only, hasOnly := f["branches"]
	not, hasNot := f["branches-ignore"]
	switch {
	case hasOnly:
		return matchesAny(only, branch)
	case hasNot:
		return !matchesAny(not, branch)
	}
	_, tags := f["tags"]
	return !tags
}

// matchesAny goes through patterns in order; one that begins with ! takes back.
func matchesAny(patterns any, branch string) bool {
	list, isList := patterns.([]any)
	if !isList {
		list = []any{patterns}
	}
	matched := false
	for _, p := range list {
		pattern, not := strings.CutPrefix(fmt.Sprint(p), "!")
		if matches(pattern, branch) {
			matched = !not
		}
	}
	return matched
}

// maxStars bounds the tries that a pattern takes.
const maxStars = 8

// matches knows * (within a component), ** and ?; a pattern with more than those,
// or with many of them, counts as matching.
func matches(pattern, branch string) bool {
	if strings.ContainsAny(pattern, "[]+\\") || strings.Count(pattern, "*") > maxStars {
		return true
	}
	switch {
	case pattern == "":
		return branch == ""
	case strings.HasPrefix(pattern, "**"):
		return eachRest(branch, "", func(rest string) bool { return matches(strings.TrimLeft(pattern, "*"), rest) })
	case pattern[0] == '*':
		return eachRest(branch, "/", func(rest string) bool { return matches(pattern[1:], rest) })
	case len(pattern) > 1 && pattern[1] == '?': // the one before it, or not
		return matches(pattern[2:], branch) || branch != "" && branch[0] == pattern[0] && matches(pattern[2:], branch[1:])
	}
	return branch != "" && branch[0] == pattern[0] && matches(pattern[1:], branch[1:])
}

// eachRest tries what is left of s after none, one, two… of its characters, but
// not after one of stop.
func eachRest(s, stop string, try func(string) bool) bool {
	for i := 0; ; i++ {
		if try(s[i:]) {
			return true
		}
		if i == len(s) || strings.ContainsRune(stop, rune(s[i])) {
			return false
		}
	}
}

// elsewhere are the beginnings of labels that by custom mean a forge's own machine
// or a container.
var elsewhere = []string{"ubuntu-", "windows-", "macos-", "debian-", "docker"}

// ownMachine tells whether runs-on names a runner that may be this host, and gives
// it as one word.
func ownMachine(runsOn any) (label string, own bool) {
	var labels []string
	switch r := runsOn.(type) {
	case nil:
		return "", false // a job without one is called from elsewhere, or is not run
	case []any:
		for _, l := range r {
			labels = append(labels, fmt.Sprint(l))
		}
	case map[string]any:
		return fmt.Sprint(r["group"], " ", r["labels"]), true
	default:
		labels = []string{fmt.Sprint(r)}
	}
	label = strings.Join(labels, ", ")
	return label, !slices.ContainsFunc(labels, func(l string) bool {
		return slices.ContainsFunc(elsewhere, func(e string) bool { return strings.HasPrefix(l, e) })
	})
}
