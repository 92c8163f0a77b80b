// Package workflow reads the workflow files of a checkout or a commit, as far as is
// needed to tell which of their jobs would run what an agent pushes on the host itself.
// It reads what strangers wrote: within bounds, and what it can't read counts as exposed.
package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	MaxFile    = 128 << 10 // bytes of one file
	MaxFiles   = 200       // below one of Folders, whatever they are
	maxNesting = 32
)

// Exposed is a job that would run, on the host, what was pushed to a ref.
type Exposed struct {
	File  string // path in the checkout
	Job   string // its key; empty: the file (or folder) can't be read, and any job of it may
	On    string // the event: push, pull_request
	Label string // what it runs on, or the workflow elsewhere that it calls; empty: the file doesn't say
}

// maxWord bounds what a message takes of a file.
const maxWord = 200

// String says it in one line, whatever the file has for names.
func (e Exposed) String() string {
	short := func(s string) string { return s[:min(len(s), maxWord)] }
	if e.Job == "" {
		return fmt.Sprintf("%q can't be read", short(e.File))
	}
	return fmt.Sprintf("%q: job %q on %q by %s", short(e.File), short(e.Job), short(e.Label), e.On)
}

// CheckName tells what is wrong with name as the path of one workflow file.
func CheckName(name string) error {
	inFolder := func(folder string) bool { return strings.HasPrefix(name, folder+"/") }
	foreign := func(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune("*?[]\\", c) }
	switch {
	case len(name) > maxWord || path.Clean(name) != name || strings.ContainsFunc(name, foreign):
		return fmt.Errorf("%.80q is not the path of one file", name)
	case !isWorkflow(name) || !slices.ContainsFunc(Folders, inFolder):
		return fmt.Errorf("%.80q is not where a forge looks for workflows", name)
	}
	return nil
}

func isWorkflow(name string) bool {
	ext := path.Ext(name)
	return ext == ".yml" || ext == ".yaml"
}

// file is what of a workflow is looked at.
type file struct {
	On   any
	Jobs map[string]job
}

type job struct {
	RunsOn    any `yaml:"runs-on"`
	Container any
	Uses      any // a workflow that it calls, in place of steps of its own
}

// Find gives the jobs in the checkout dir that would run on the host what is
// pushed to branch. A checkout without workflows has none.
func Find(dir, branch string) ([]Exposed, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the checkout: %w", err)
	}
	defer root.Close()
	return FindIn(checkout{root}, branchPrefix+branch), nil
}

// FindIn gives those of s for a ref by its full name. One that ends in "/*" stands for
// all below it.
func FindIn(s Source, ref string) []Exposed {
	j := judge{ref: readRef(ref), read: s.Read}
	for _, folder := range Folders {
		names, err := s.List(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || len(names) > MaxFiles {
			j.unread(folder)
		}
		for _, name := range names[:min(len(names), MaxFiles)] {
			if isWorkflow(name) {
				j.triggered(name)
			}
		}
	}
	return j.found
}

// Judge gives the exposed jobs of one workflow alone, which b holds, in the order
// of their names; what others it calls can't be read.
func Judge(name string, b []byte, branch string) []Exposed {
	j := judge{ref: readRef(branchPrefix + branch), read: func(asked string) ([]byte, error) {
		if asked != name {
			return nil, fs.ErrNotExist
		}
		return b, nil
	}}
	j.triggered(name)
	return j.found
}

// judge collects exposed jobs.
type judge struct {
	ref    ref
	read   func(name string) ([]byte, error)
	called []string // workflows that jobs called, each looked at once
	found  []Exposed
}

func (j *judge) unread(name string) { j.found = append(j.found, Exposed{File: name}) }

// triggered looks at a workflow that the forge starts by itself.
func (j *judge) triggered(name string) {
	w, err := j.decode(name)
	if err != nil {
		j.unread(name)
		return
	}
	if on := event(w.On, j.ref); on != "" {
		j.jobs(name, w, on)
	}
}

// byteOrderMark may begin a file (YAML 1.2, section 5.2), and would else be part of
// its first key here.
const byteOrderMark = "\ufeff"

func (j *judge) decode(name string) (w file, err error) {
	b, err := j.read(name)
	if err != nil {
		return w, err
	}
	if !plain(b) {
		return w, errors.New("it may not end")
	}
	return w, yaml.Unmarshal(bytes.TrimPrefix(b, []byte(byteOrderMark)), &w)
}

func (j *judge) jobs(name string, w file, on string) {
	for _, key := range slices.Sorted(maps.Keys(w.Jobs)) {
		job := w.Jobs[key]
		if job.Uses != nil {
			j.call(name, key, fmt.Sprint(job.Uses), on)
			continue
		}
		if label, own := ownMachine(job.RunsOn); own && !contained(job.Container) {
			j.found = append(j.found, Exposed{name, key, on, label})
		}
	}
}

// call follows a job to the workflow that it calls, whose own triggers don't
// matter. One of another repository may run on any label.
func (j *judge) call(name, key, uses, on string) {
	local, isLocal := strings.CutPrefix(uses, "./")
	if !isLocal {
		j.found = append(j.found, Exposed{name, key, on, uses})
		return
	}
	local = path.Clean(local)
	if slices.Contains(j.called, local) {
		return
	}
	j.called = append(j.called, local)
	w, err := j.decode(local)
	if err != nil {
		j.unread(local)
		return
	}
	j.jobs(local, w, on)
}

// contained tells whether a job names a container for certain: an expression may
// turn out empty, and then there is none.
func contained(container any) bool {
	if m, is := container.(map[string]any); is {
		container = m["image"]
	}
	image, _ := container.(string)
	return strings.TrimSpace(image) != "" && !strings.Contains(image, "${{")
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

// pushed are the events whose jobs run what a ref holds: of its push, or of what
// follows for its pull request. A tag has none, but the forges don't promise that.
var pushed = []string{"push", "pull_request", "create", "pull_request_review", "pull_request_review_comment", "merge_group"}

// event gives the first event of on that happens because of a push to r, and whose
// jobs take that ref's content; or "".
func event(on any, r ref) string {
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
			if filter, has := on[name]; has && (name != "push" || r.passes(filter)) {
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

// elsewhere are the beginnings of labels that by custom mean a forge's own machine
// or a container.
var elsewhere = []string{"ubuntu-", "windows-", "macos-", "debian-", "docker"}

// ownMachine tells whether runs-on names a runner that may be this host, and gives
// it as one word.
func ownMachine(runsOn any) (label string, own bool) {
	var labels []string
	switch r := runsOn.(type) {
	case nil:
		return "", false // the forge doesn't run a job without one
	case []any:
		for _, l := range r {
			labels = append(labels, fmt.Sprint(l))
		}
	case map[string]any:
		return fmt.Sprint(r["group"], " ", r["labels"]), true
	default:
		labels = []string{fmt.Sprint(r)}
	}
	// A runner has all the labels that are asked for; one that isn't known may be
	// this host's.
	return strings.Join(labels, ", "), slices.ContainsFunc(labels, func(l string) bool {
		return !slices.ContainsFunc(elsewhere, func(e string) bool { return strings.HasPrefix(l, e) })
	})
}
