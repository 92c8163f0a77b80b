package gitgate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/gitpath"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/scan"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// Rules by which the judge refuses.
const (
	RuleSecret    = "secret"          // a scanner found one
	RuleProtected = "protected-path"  // a forge or the host would run or obey it
	RuleGitlink   = "submodule"       // it points at what nobody here has seen
	RuleBadPath   = "bad-path"        // on some file system it is another path, or git's own
	RuleSpecial   = "special-symlink" // a file that git obeys is a link
	RuleLFSFile   = "lfs-pointer"     // stands for a file that went another way
)

// JudgeOptions say what the judge knows.
type JudgeOptions struct {
	Known []secret.Value // values that no push may hold
	// Protected are patterns of paths, by repository, that may be changed although
	// they are on the list of those that may not.
	Protected map[string][]string
	Time      time.Duration // for one push, besides what its size takes; 0: DefaultJudgeTime
}

// DefaultJudgeTime is enough for the smaller pushes that there are.
const DefaultJudgeTime = 5 * time.Minute

// leastScanned is how many bytes of a pack the scanner gets through in a second, at
// worst: random ones, with each of which gitleaks tries most, on a busy host.
const leastScanned = 512 << 10

// protected are the paths by which a push would be run, or obeyed, by the forge or by
// the host: workflows, actions, and who has to approve what. Each covers what is below
// it.
var protected = []string{
	".github", ".gitea", ".forgejo", "**/action.yml", "**/action.yaml",
	"CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS", ".gitlab-ci.yml", ".woodpecker", ".woodpecker.yml", ".drone.yml", ".bot-bottle",
}

type judge struct {
	scanner   *scan.Scanner
	protected []gitpath.Glob
	allowed   map[string][]gitpath.Glob
	time      time.Duration
}

// NewJudge gives the judge of pushes.
func NewJudge(o JudgeOptions) (Judge, error) {
	scanner, err := scan.New(o.Known)
	if err != nil {
		return nil, err
	}
	j := &judge{scanner: scanner, allowed: map[string][]gitpath.Glob{}, time: DefaultJudgeTime}
	if o.Time > 0 {
		j.time = o.Time
	}
	if j.protected, err = globs(protected); err != nil {
		return nil, err
	}
	for name, patterns := range o.Protected {
		if j.allowed[name], err = globs(patterns); err != nil {
			return nil, fmt.Errorf("reading the protected paths that %q may change: %w", name, err)
		}
	}
	return j.judge, nil
}

func globs(patterns []string) ([]gitpath.Glob, error) {
	var list []gitpath.Glob
	for _, pattern := range patterns {
		anchored := gitpath.FoldPath(pattern)
		if !strings.Contains(pattern, "/") {
			anchored += "/**" // from the top, and not a name at any depth
		}
		g, err := gitpath.CompileGlob(anchored)
		if err != nil {
			return nil, fmt.Errorf("reading the pattern %q: %w", pattern, err)
		}
		list = append(list, g)
	}
	return list, nil
}

func covers(list []gitpath.Glob, parts []string) bool {
	return slices.ContainsFunc(list, func(g gitpath.Glob) bool { return g.Covers(parts) })
}

// judge looks at every commit that the upstream lacks, and at all that it changed.
func (j *judge) judge(ctx context.Context, p Pushed) error {
	limit := j.time + time.Duration(p.Bytes/leastScanned)*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", term.Duration(limit)))
	defer cancel()
	o, err := openObjects(ctx, p)
	if err != nil {
		return err
	}
	defer o.close()
	l := &look{judge: j, objects: o, pushed: p, scanned: map[string]bool{}, idBytes: len(p.New[0]) / 2}
	tips := make([]string, len(p.New))
	for i, id := range p.New {
		if tips[i], err = l.tip(ctx, id); err != nil {
			return because(ctx, err)
		}
	}
	commits, err := l.commits(ctx)
	if err != nil {
		return because(ctx, err)
	}
	for _, c := range commits {
		if err := l.commit(ctx, c[0], c[1:]); err != nil {
			return because(ctx, err)
		}
	}
	jobs, err := p.hostJobs(o, tips)
	if err != nil {
		return because(ctx, err)
	}
	return jobs.refused()
}

// because gives the reason for which everything ended, where that is why err came.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// look is the work on one push.
type look struct {
	*judge
	objects *objects
	pushed  Pushed
	scanned map[string]bool // blobs that were looked at, by id and name: some rules are for certain files
	idBytes int
}

// commits are those that the upstream lacks, parents first, each with its parents.
func (l *look) commits(ctx context.Context) (commits [][]string, err error) {
	var tips strings.Builder
	for _, id := range l.pushed.New {
		tips.WriteString(id + "\n")
	}
	for _, id := range l.pushed.Known {
		tips.WriteString("^" + id + "\n")
	}
	out, err := l.pushed.Git.run(ctx, l.pushed.Dir, l.pushed.Env, strings.NewReader(tips.String()),
		"rev-list", "--topo-order", "--reverse", "--parents", fmt.Sprintf("--max-count=%d", maxPushCommits+1), "--stdin")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(out)) {
		commits = append(commits, strings.Fields(line))
	}
	if len(commits) > maxPushCommits {
		return nil, errPushTooLarge
	}
	return commits, nil
}

// tip looks at what a ref is to be: a tag is an object of its own, and may stand for
// another. It gives the commit that it leads to.
func (l *look) tip(ctx context.Context, id string) (commit string, err error) {
	for range 10 {
		b, err := l.objects.open(id)
		if err != nil {
			return "", err
		}
		if b.kind == "commit" {
			return id, l.objects.done(b)
		}
		if b.kind != "tag" || b.size > maxTextBytes {
			return "", &Refused{Rule: RulePack, Message: fmt.Sprintf("a ref would lead to a %s", b.kind)}
		}
		text, err := io.ReadAll(b)
		if err == nil {
			err = l.objects.done(b)
		}
		if err != nil {
			return "", err
		}
		if err := l.text(ctx, "tag", id, string(text)); err != nil {
			return "", err
		}
		if id = firstField(text, "object"); id == "" {
			return "", &Refused{Rule: RulePack, Message: "a tag stands for nothing"}
		}
	}
	return "", &Refused{Rule: RulePack, Message: "a tag stands for a tag for a tag"}
}

// commit looks at what a commit says, and at what it changes beside all its parents.
func (l *look) commit(ctx context.Context, id string, parents []string) error {
	content, err := l.objects.whole(id, "commit", maxTextBytes)
	if err != nil {
		return err
	}
	if err := l.text(ctx, "commit", id, string(content)); err != nil {
		return err
	}
	trees := make([]string, len(parents))
	for i, parent := range parents {
		content, err := l.objects.whole(parent, "commit", maxTextBytes)
		if err != nil {
			return err
		}
		trees[i] = firstField(content, "tree")
	}
	return l.folder(ctx, id, "", firstField(content, "tree"), trees)
}

// text scans a commit or a tag: its names, addresses and message.
func (l *look) text(ctx context.Context, kind, id, text string) error {
	found, err := l.scanner.Text(ctx, text)
	if err != nil {
		return err
	}
	return l.secrets(found, id, fmt.Sprintf("the text of %s %.12s", kind, id))
}

// folder compares a folder with what the parents have in its place, and looks at each
// entry that is new beside all of them. A parent without it is the empty string.
func (l *look) folder(ctx context.Context, commit, dir, id string, parents []string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	now, err := l.tree(id)
	if err != nil {
		return err
	}
	before := make([]map[string]entry, len(parents))
	for i, parent := range parents {
		list, err := l.tree(parent)
		if err != nil {
			return err
		}
		before[i] = map[string]entry{}
		for _, e := range list {
			before[i][e.name] = e
		}
	}
	for _, e := range now {
		if slices.ContainsFunc(before, func(list map[string]entry) bool { return list[e.name] == e }) {
			continue // a parent has the same
		}
		if err := l.entry(ctx, commit, path.Join(dir, e.name), e, before); err != nil {
			return err
		}
	}
	return l.gone(commit, dir, now, before)
}

// tree reads a folder; an empty id is one that isn't there.
func (l *look) tree(id string) ([]entry, error) {
	if id == "" {
		return nil, nil
	}
	return l.objects.tree(id, l.idBytes)
}

// entry looks at one that is new, or has changed.
func (l *look) entry(ctx context.Context, commit, name string, e entry, before []map[string]entry) error {
	if err := l.path(ctx, commit, name, e); err != nil {
		return err
	}
	if e.mode == modeFolder {
		parents := make([]string, len(before))
		for i, list := range before {
			if old := list[e.name]; old.mode == modeFolder {
				parents[i] = old.id
			}
		}
		return l.folder(ctx, commit, name, e.id, parents)
	}
	if err := l.protect(commit, name); err != nil {
		return err
	}
	return l.blob(ctx, commit, name, e)
}

// gone looks at what a commit took away: a workflow that is deleted is a change to it.
func (l *look) gone(commit, dir string, now []entry, before []map[string]entry) error {
	if len(before) == 0 {
		return nil
	}
	names := map[string]bool{}
	for _, e := range now {
		names[e.name] = true
	}
	for name, e := range before[0] {
		everywhere := !slices.ContainsFunc(before, func(list map[string]entry) bool { _, has := list[name]; return !has })
		if names[name] || !everywhere {
			continue
		}
		if err := l.goneEntry(commit, path.Join(dir, name), e); err != nil {
			return err
		}
	}
	return nil
}

func (l *look) goneEntry(commit, name string, e entry) error {
	if e.mode != modeFolder {
		return l.protect(commit, name)
	}
	list, err := l.tree(e.id)
	if err != nil {
		return err
	}
	for _, below := range list {
		if err := l.goneEntry(commit, path.Join(name, below.name), below); err != nil {
			return err
		}
	}
	return nil
}

// protect refuses a change to what a forge or the host would run.
func (l *look) protect(commit, name string) error {
	if mutation.On(mutation.GitAnyPath) {
		return nil
	}
	parts := strings.Split(gitpath.FoldPath(name), "/")
	if !covers(l.protected, parts) || covers(l.allowed[l.pushed.Repository], parts) {
		return nil
	}
	return &Refused{Rule: RuleProtected, Message: fmt.Sprintf("commit %.12s changes %q, which a forge or the host would run or obey", commit, term.Shorten(name, 200)),
		Details: []string{"a bottle lets it pass with `protected: [" + term.Shorten(name, 200) + "]` under the repository in `git-gate`"}}
}

// path refuses what would be another path elsewhere, and what git would obey.
func (l *look) path(ctx context.Context, commit, name string, e entry) error {
	refused := func(rule, why string) error {
		return &Refused{Rule: rule, Message: fmt.Sprintf("commit %.12s has %q: %s", commit, term.Shorten(name, 200), why)}
	}
	folded := gitpath.Fold(e.name)
	switch {
	case len(name) > maxPathBytes:
		return refused(RuleBadPath, "the path is too long")
	case e.name == "." || e.name == ".." || strings.ContainsAny(e.name, "/\x00") || folded == "":
		return refused(RuleBadPath, "it is no name of a file")
	case folded == gitpath.FoldedGit || gitShortName(folded):
		return refused(RuleBadPath, "it is git's own folder, or becomes it on some file systems")
	case e.mode == modeGitlink:
		return refused(RuleGitlink, "a submodule, whose content nobody here has seen")
	case e.mode == modeLink && slices.Contains(obeyed, folded):
		return refused(RuleSpecial, "git obeys this file, and it is a link")
	}
	found, err := l.scanner.Text(ctx, name)
	if err != nil {
		return err
	}
	return l.secrets(found, commit, "the name of a file")
}

// obeyed are the files that git takes settings from, as Fold gives them.
var obeyed = []string{".GITMODULES", ".GITATTRIBUTES", ".GITIGNORE", ".MAILMAP"}

// gitShortName tells whether NTFS may call .git so.
func gitShortName(folded string) bool {
	number, ok := strings.CutPrefix(folded, "GIT~")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// lfsPointer is how a file begins that stands for one of Git LFS.
const lfsPointer = "version https://git-lfs.github.com/spec/"

// blob scans a file, once for each content and name.
func (l *look) blob(ctx context.Context, commit, name string, e entry) error {
	key := e.id + " " + e.name
	if l.scanned[key] {
		return nil
	}
	l.scanned[key] = true
	b, err := l.objects.open(e.id)
	if err != nil {
		return err
	}
	if b.kind != "blob" {
		return fmt.Errorf("reading object %s: it is a %s instead of a file", e.id, b.kind)
	}
	begin := make([]byte, min(b.size, int64(len(lfsPointer))))
	if _, err := io.ReadFull(b, begin); err != nil {
		return fmt.Errorf("reading object %s: %w", e.id, err)
	}
	if string(begin) == lfsPointer {
		return &Refused{Rule: RuleLFSFile, Message: fmt.Sprintf("commit %.12s has %q in Git LFS, whose files go past git, where nothing scans them", commit, term.Shorten(name, 200))}
	}
	found, err := l.scanner.Scan(ctx, name, io.MultiReader(bytes.NewReader(begin), b))
	if err != nil {
		return err
	}
	if err := l.secrets(found, commit, fmt.Sprintf("%q", term.Shorten(name, 200))); err != nil {
		return err
	}
	return l.objects.done(b)
}

// maxDetails is how many findings are told.
const maxDetails = 10

// secrets refuses what the scanner found, in words that hold no secret.
func (l *look) secrets(found []scan.Finding, commit, where string) error {
	if len(found) == 0 || mutation.On(mutation.GitScan) {
		return nil
	}
	r := &Refused{Rule: RuleSecret, Message: fmt.Sprintf("gitleaks found a secret in %s of commit %.12s", where, commit)}
	if found[0].Detector == scan.Known {
		r.Message = fmt.Sprintf("a secret of this run is in %s of commit %.12s", where, commit)
	}
	for _, f := range found[:min(len(found), maxDetails)] {
		allowed := ""
		if f.Allowed {
			allowed = "; gitleaks:allow is not honoured here"
		}
		r.Details = append(r.Details, fmt.Sprintf("%s: rule %s, line %d, %s (%s)%s", f.Detector, f.Rule, f.Line, f.Begins, f.Description, allowed))
	}
	r.Details = append(r.Details, "take it out of the history (git rebase, or a new branch), and think of it as known to the agent")
	return r
}
