package gitgate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/objectid"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workflow"
)

// RuleHostWorkflow is by which a push is refused that a workflow which is there already
// would run on the host, outside of any bottle: whatever build file the agent changed.
const RuleHostWorkflow = "host-workflow"

// Workflows asks the upstream of a repository that may be pushed to, and is an error
// where a workflow of its HEAD, or of commit if that isn't empty, would run on the host
// what is pushed to one of the refs that the bottle lists. It is an early word: each
// push is judged by what it holds itself.
func (d *Door) Workflows(ctx context.Context, name, commit string) error {
	m, rules := d.mirrors[name], d.rules[name]
	if m == nil || rules == nil || commit != "" && !objectid.Is(commit) {
		return fmt.Errorf("looking for workflows: %q is no repository that is pushed to, or %q no commit", name, commit)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refresh(ctx); err != nil {
		return fmt.Errorf("asking the upstream of %q for its workflows: %w", name, err)
	}
	jobs, err := m.hostJobs(ctx, rules, commit)
	if err != nil {
		return fmt.Errorf("reading the workflows of %q: %w", name, err)
	}
	return jobs.err(name)
}

// hostJobs looks at the mirror as it is. A commit that isn't in it can't be cloned
// either, which says so in better words.
func (m *mirror) hostJobs(ctx context.Context, rules *PushRules, commit string) (hostJobs, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, localTime, fmt.Errorf("not done within %v", localTime))
	defer cancel()
	refs, err := m.refs(ctx)
	if err != nil {
		return nil, err
	}
	head, err := m.head(ctx, refs)
	if err != nil {
		return nil, err
	}
	commits := []string{head}
	if commit != "" {
		kind, err := m.git.run(ctx, m.dir, nil, nil, "cat-file", "-t", commit)
		if err == nil && strings.TrimSpace(string(kind)) == "commit" {
			commits = append(commits, commit)
		}
	}
	o, err := openObjects(ctx, Pushed{Git: m.git, Dir: m.dir})
	if err != nil {
		return nil, err
	}
	defer o.close()
	s := survey{objects: o, accepted: rules.HostWorkflows}
	for _, c := range commits {
		if err := s.commit(c, rules.Refs...); err != nil {
			return nil, because(ctx, err)
		}
	}
	return s.found, nil
}

// head gives the commit that HEAD leads to, with refs as the mirror has them; empty:
// there is none.
func (m *mirror) head(ctx context.Context, refs map[string]string) (commit string, err error) {
	ref, err := m.git.run(ctx, m.dir, nil, nil, "symbolic-ref", "HEAD")
	return refs[strings.TrimSpace(string(ref))], err
}

// hostJobs are jobs that would run on the host what is pushed.
type hostJobs []workflow.Exposed

// told says what they are: of many the first.
func (h hostJobs) told() (lines []string) {
	for _, e := range h[:min(len(h), maxDetails)] {
		lines = append(lines, e.String())
	}
	if more := len(h) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// plainPath is a path that YAML takes as it is.
var plainPath = regexp.MustCompile(`^[0-9A-Za-z_./-]+$`)

// accepting is the line by which a bottle accepts them; empty: it can't.
func (h hostJobs) accepting() string {
	var files []string
	for _, e := range h {
		if workflow.CheckName(e.File) != nil {
			continue
		}
		if !plainPath.MatchString(e.File) {
			e.File = strconv.Quote(e.File)
		}
		files = append(files, e.File)
	}
	if len(files) == 0 {
		return ""
	}
	slices.Sort(files)
	return "host_workflows: [" + strings.Join(slices.Compact(files), ", ") + "]"
}

// none tells whether there is nothing that stands against a push.
func (h hostJobs) none() bool { return len(h) == 0 || mutation.On(mutation.GitHostWorkflow) }

// refused is the judgement against a push; nil: there is none.
func (h hostJobs) refused() error {
	if h.none() {
		return nil
	}
	told := h.told()
	r := &Refused{Rule: RuleHostWorkflow, Message: "a workflow would run what is pushed on the host, outside of any bottle: " + told[0], Details: told[1:]}
	if line := h.accepting(); line != "" {
		r.Details = append(r.Details, "a bottle accepts that with `"+line+"` under the repository in `git-gate`")
	}
	return r
}

// err says the same of the repository name before anything is pushed.
func (h hostJobs) err(name string) error {
	if h.none() {
		return nil
	}
	err := term.Errorf(term.StagePreflight, "", "looking at the workflows of %q: what the agent pushes there would run on the host, outside of any bottle: %s", name, strings.Join(h.told(), "; ")).
		WithHint("let them start on pushes to protected branches only, or run them in a container")
	if line := h.accepting(); line != "" {
		err.WithHint("or accept them with `%s` under `git-gate.repos.%s` of the bottle", line, name)
	}
	return err
}

// survey collects the jobs that the workflows of commits would run on the host.
type survey struct {
	objects  *objects
	accepted []string // paths of files that may
	found    hostJobs
}

// commit looks at the workflows of one, for each of the refs that could get it; an
// empty id is one that isn't there.
func (s *survey) commit(id string, refs ...string) error {
	if id == "" {
		return nil
	}
	content, err := s.objects.whole(id, "commit", maxTextBytes)
	if err != nil {
		return err
	}
	files := &commitFiles{objects: s.objects, root: firstField(content, "tree"), idBytes: len(id) / 2}
	for _, ref := range refs {
		for _, e := range workflow.FindIn(files, ref) {
			if !slices.Contains(s.accepted, e.File) && !slices.Contains(s.found, e) {
				s.found = append(s.found, e)
			}
		}
		if files.broken != nil {
			return files.broken
		}
	}
	return nil
}

// hostJobs looks at the workflows of the commits that refs would lead to, and of the
// base, all of which a pull request may start.
func (p Pushed) hostJobs(o *objects, tips []string) (hostJobs, error) {
	s := survey{objects: o, accepted: p.HostWorkflows}
	for i, tip := range tips {
		if err := s.commit(tip, p.Refs[i]); err != nil {
			return nil, err
		}
	}
	err := s.commit(p.Base, p.Refs...)
	return s.found, err
}

// commitFiles is a workflow.Source of what a commit has.
type commitFiles struct {
	objects *objects
	root    string // id of its folder
	idBytes int
	broken  error // what kept git from answering: nothing that was said then counts
}

var (
	errLink     = errors.New("it is a link, which forges may follow or not")
	errFileKind = errors.New("it is no file of a workflow's size")
	errFolders  = errors.New("it has too many folders")
)

// folder reads one.
func (f *commitFiles) folder(id string) ([]entry, error) {
	list, err := f.objects.tree(id, f.idBytes)
	return list, f.note(err)
}

// note keeps the first error of git's.
func (f *commitFiles) note(err error) error {
	if f.broken == nil {
		f.broken = err
	}
	return f.broken
}

// find gives what is at a path.
func (f *commitFiles) find(name string) (entry, error) {
	at := entry{mode: modeFolder, id: f.root}
	for part := range strings.SplitSeq(name, "/") {
		if at.mode == modeLink {
			return at, errLink
		}
		if at.mode != modeFolder {
			return at, fs.ErrNotExist
		}
		list, err := f.folder(at.id)
		if err != nil {
			return at, err
		}
		i := slices.IndexFunc(list, func(e entry) bool { return e.name == part })
		if i < 0 {
			return at, fs.ErrNotExist
		}
		at = list[i]
	}
	return at, nil
}

// List gives the files below a folder.
func (f *commitFiles) List(folder string) (names []string, err error) {
	top, err := f.find(folder)
	switch {
	case err != nil:
		return nil, err
	case top.mode == modeLink:
		return nil, errLink
	case top.mode != modeFolder:
		return nil, fs.ErrNotExist
	}
	waiting := []entry{{id: top.id, name: folder}}
	for n := 0; n < len(waiting) && len(names) <= workflow.MaxFiles; n++ {
		if n > workflow.MaxFiles {
			return names, errFolders
		}
		list, err := f.folder(waiting[n].id)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			e.name = waiting[n].name + "/" + e.name
			if e.mode == modeFolder {
				waiting = append(waiting, e)
			} else {
				names = append(names, e.name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// Read gives a file.
func (f *commitFiles) Read(name string) ([]byte, error) {
	e, err := f.find(name)
	if err != nil {
		return nil, err
	}
	if e.mode == modeLink || e.mode == modeFolder || e.mode == modeGitlink {
		return nil, errFileKind
	}
	b, err := f.objects.open(e.id)
	if err != nil {
		return nil, f.note(err)
	}
	content, err := io.ReadAll(io.LimitReader(b, workflow.MaxFile))
	if f.note(errors.Join(err, f.objects.done(b))) != nil {
		return nil, f.broken
	}
	if b.kind != "blob" || b.size > workflow.MaxFile {
		return nil, errFileKind
	}
	return content, nil
}
