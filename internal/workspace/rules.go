package workspace

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bot-bottle/action/internal/gitpath"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/term"
)

// Rules say what a patch may do.
type Rules struct {
	// Allow are patterns of paths that are wanted although a tool might run
	// them by itself: a name at any depth (".gitignore"), or a path from the
	// top with "*", "?", "[a-z]" and "**" ("docs/**"); a folder stands for
	// all that is in it. What is never wanted (links, ".git", "..") stays so.
	Allow []string
	// MaxBytes bounds the patch, both as it is read and as it is written, and
	// what its binary parts inflate to. Zero means DefaultMaxPatchBytes.
	MaxBytes int64
	// MaxFiles bounds the files it changes. Zero means DefaultMaxPatchFiles.
	MaxFiles int
}

// Bounds of a patch where Rules name none: far more than a person reviews, and
// little enough to hold in memory a few times over.
const (
	DefaultMaxPatchBytes = 64 << 20
	DefaultMaxPatchFiles = 10_000
)

// Bounds of names, so that what is accepted here can be made everywhere: see
// NAME_MAX and PATH_MAX in limits.h.
const (
	maxName = 255
	maxPath = 4095
	// maxDepth bounds the work of matching; the deepest trees that people
	// keep in repositories (node_modules) have about 40 levels.
	maxDepth = 100
)

// Rule names why a file of a patch was refused. The set is closed.
type Rule string

// The rules. Those of the first group hold always, those of the second unless
// Rules.Allow covers the path.
const (
	RuleBadPath   Rule = "bad-path"   // not a clean relative path, or control characters in it
	RuleGitFolder Rule = "git-folder" // ".git", in any spelling that a file system takes for it
	RuleSymlink   Rule = "symlink"
	RuleGitlink   Rule = "gitlink" // a submodule
	RuleMode      Rule = "mode"    // neither 100644 nor 100755
	RuleRename    Rule = "rename"  // renames and copies, which GuestDiff never prints
	RuleDuplicate Rule = "duplicate"
	RuleCollision Rule = "collision" // another path of the patch differs in case only, or lies beneath it
	RuleMalformed Rule = "malformed" // its parts contradict each other, or data is missing

	RuleGitFile   Rule = "git-file"   // ".gitattributes" and all else that begins with ".git"
	RuleAutoRun   Rule = "auto-run"   // some tool runs it by itself
	RuleBareRepo  Rule = "bare-repo"  // "HEAD": with it a folder can pass for a repository
	RuleShortName Rule = "short-name" // "NAME~1": on NTFS another file's name
	RuleStream    Rule = "stream"     // a colon: on NTFS a stream of another file
)

// Refusal is one file of a patch that may not pass. Path is the guest's word:
// it may hold anything, and belongs into no log as it is.
type Refusal struct {
	Path   string `json:"path"`
	Rule   Rule   `json:"rule"`
	Reason string `json:"reason"`
}

// RefusedError is a patch that may not pass as a whole.
type RefusedError struct {
	Refusals []Refusal // at least one, in the order of the patch
}

// maxRefusalsShown bounds an error's length; all are in Refusals.
const maxRefusalsShown = 10

// Error lists the first refusals, paths quoted.
func (e *RefusedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "refusing the patch: %d of its changes may not pass", len(e.Refusals))
	for i, refusal := range e.Refusals {
		if i == maxRefusalsShown {
			fmt.Fprintf(&b, "\nand %d more", len(e.Refusals)-i)
			break
		}
		fmt.Fprintf(&b, "\n%+q: %s (%s)", refusal.Path, refusal.Reason, refusal.Rule)
	}
	return b.String()
}

// allowable tells whether Rules.Allow can lift the rule.
func (r Rule) allowable() bool {
	switch r {
	case RuleGitFile, RuleAutoRun, RuleBareRepo, RuleShortName, RuleStream:
		return true
	}
	return false
}

// refusedError wraps refusals for a person.
func refusedError(refusals []Refusal) error {
	failed := &term.Error{Stage: term.StageCollect, Err: &RefusedError{Refusals: refusals}}
	for _, refusal := range refusals {
		if refusal.Rule.allowable() {
			return failed.WithHint("if such a change is wanted, name its path or folder with --allow")
		}
	}
	return failed
}

// judge is Rules, compiled.
type judge struct {
	allow    []gitpath.Glob
	autoRuns []autoRunRule
	maxBytes int64
	maxFiles int
}

func newJudge(rules Rules) (*judge, error) {
	allow, err := compileAllow(rules.Allow)
	if err != nil {
		return nil, err
	}
	j := &judge{allow: allow, autoRuns: compiledAutoRuns(), maxBytes: rules.MaxBytes, maxFiles: rules.MaxFiles}
	if j.maxBytes <= 0 {
		j.maxBytes = DefaultMaxPatchBytes
	}
	if j.maxFiles <= 0 {
		j.maxFiles = DefaultMaxPatchFiles
	}
	return j, nil
}

// path judges one path. It gives nil, or the rule that it breaks and whether
// the rules allow that.
func (j *judge) path(path string) (broken *Refusal, allowed bool) {
	if mutation.On(mutation.PatchAnyPath) {
		return nil, true
	}
	if broken := neverAllowed(path); broken != nil {
		return broken, false
	}
	if broken = j.suspicious(path); broken == nil {
		return nil, true
	}
	parts := strings.Split(path, "/")
	for _, pattern := range j.allow {
		if pattern.Covers(parts) {
			return broken, true
		}
	}
	return broken, false
}

// neverAllowed finds what no rule can allow.
func neverAllowed(path string) *Refusal {
	switch {
	case path == "" || strings.HasPrefix(path, "/"):
		return &Refusal{path, RuleBadPath, "not a path beneath the workspace"}
	case len(path) > maxPath || strings.Count(path, "/") >= maxDepth:
		return &Refusal{path, RuleBadPath, "the path is too long or too deep"}
	case !utf8.ValidString(path):
		return &Refusal{path, RuleBadPath, "the path isn't UTF-8"}
	case strings.ContainsFunc(path, unseen):
		return &Refusal{path, RuleBadPath, "the path holds characters that aren't seen"}
	case strings.Contains(path, `\`):
		return &Refusal{path, RuleBadPath, "a backslash separates folders on some hosts"}
	}
	for part := range strings.SplitSeq(path, "/") {
		if broken := neverAllowedName(path, part); broken != nil {
			return broken
		}
	}
	return nil
}

// unseen tells whether r is a control or format character or a line break.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func neverAllowedName(path, name string) *Refusal {
	switch folded := gitpath.Fold(name); {
	case name == "" || folded == "": // "", ".", "..", "...", and "./" with blanks
		return &Refusal{path, RuleBadPath, "an empty name, or one of dots only"}
	case len(name) > maxName:
		return &Refusal{path, RuleBadPath, "a name in it is too long"}
	case folded == gitpath.FoldedGit || gitShortName.MatchString(folded):
		return &Refusal{path, RuleGitFolder, "it lies in a repository's own folder"}
	}
	return nil
}

// gitShortName is what NTFS may call .git for old programs.
var gitShortName = regexp.MustCompile(`^GIT~[0-9]+$`)

// shortName is the shape of all such names, folded: eight characters with a
// tilde and a number, three after a dot.
var shortName = regexp.MustCompile(`^[^.]{1,6}~[0-9]{1,6}(\.[^.]{0,3})?$`)

// suspicious finds what only Rules.Allow lets pass.
func (j *judge) suspicious(path string) *Refusal {
	folded := gitpath.FoldPath(path)
	parts := strings.Split(folded, "/")
	if reason := j.runsByItself(parts); reason != "" {
		return &Refusal{path, RuleAutoRun, reason}
	}
	for _, part := range parts {
		switch {
		case strings.HasPrefix(part, gitpath.FoldedGit):
			return &Refusal{path, RuleGitFile, "git or a forge takes settings from it"}
		case part == "HEAD":
			return &Refusal{path, RuleBareRepo, "with a file of this name its folder can pass for a repository, whose config git obeys"}
		case shortName.MatchString(part):
			return &Refusal{path, RuleShortName, "on NTFS this can be another file's name"}
		}
	}
	if strings.Contains(path, ":") {
		return &Refusal{path, RuleStream, "on NTFS this is a stream of another file"}
	}
	return nil
}

// runsByItself gives the reason for which a folded path is on the list.
func (j *judge) runsByItself(parts []string) string {
	for _, rule := range j.autoRuns {
		for _, pattern := range rule.globs {
			if pattern.Match(parts) {
				return rule.reason
			}
		}
	}
	return ""
}
