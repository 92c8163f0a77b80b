package workspace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/bot-bottle/action/internal/gitpath"
	"github.com/bot-bottle/action/internal/term"
)

// Patch is a set of changes to plain files that passed its Rules. It is
// immutable. Only ParsePatch makes one; the zero value changes nothing.
type Patch struct {
	files     []*gitdiff.File
	changes   []Change
	canonical []byte
}

// ChangeKind is what happens to a file.
type ChangeKind string

// The kinds of change.
const (
	ChangeAdd    ChangeKind = "add"
	ChangeModify ChangeKind = "modify"
	ChangeDelete ChangeKind = "delete"
	ChangeMode   ChangeKind = "mode" // the content stays
)

// Change is one file of a patch.
type Change struct {
	Path    string      `json:"path"` // clean, relative, slashes; UTF-8 without control characters
	Kind    ChangeKind  `json:"kind"`
	Added   int64       `json:"added"`            // lines; 0 for a binary file
	Deleted int64       `json:"deleted"`          // lines; 0 for a binary file
	Binary  bool        `json:"binary,omitempty"` // the content is given as bytes, not lines
	Mode    fs.FileMode `json:"mode"`             // permissions afterwards: 0644 or 0755; 0 if deleted
	// AutoRun says which tool runs the file by itself, or why else it would
	// have been refused, had Rules.Allow not named it. Empty for most.
	AutoRun string `json:"auto_run,omitempty"`
}

// Files gives the changes in the order of the patch.
func (p *Patch) Files() []Change { return append([]Change(nil), p.changes...) }

// Empty tells whether the patch changes nothing.
func (p *Patch) Empty() bool { return len(p.files) == 0 }

// WriteTo writes the patch in its one canonical form, which git apply takes:
// full object ids, no function names after @@, binary parts forward only and
// stored, not compressed, so that the same changes give the same bytes with
// every version of this program. An empty patch has no bytes.
func (p *Patch) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(p.canonical)
	return int64(n), err
}

// Digest gives the SHA-256 of what WriteTo writes, in hexadecimal.
func (p *Patch) Digest() string {
	sum := sha256.Sum256(p.canonical)
	return hex.EncodeToString(sum[:])
}

// ParsePatch reads what GuestDiff printed, or what WriteTo wrote. The input is
// hostile: memory is bounded by a small multiple of rules.MaxBytes.
//
// Errors are of stage collect: the input is larger than allowed, isn't a patch,
// or, as a *RefusedError, holds changes that may not pass. One such change
// refuses the whole patch, because half of a change is a change that nobody
// made. A pattern that can't be read is an error of stage usage.
func ParsePatch(r io.Reader, rules Rules) (*Patch, error) {
	j, err := newJudge(rules)
	if err != nil {
		return nil, err
	}
	files, err := readPatch(r, j)
	if err != nil {
		return nil, term.Errorf(term.StageCollect, "patch", "%w", err)
	}
	changes, refusals := j.files(files)
	if len(refusals) > 0 {
		return nil, refusedError(refusals)
	}
	canonical, err := canonicalize(files, j.maxBytes)
	if err != nil {
		return nil, term.Errorf(term.StageCollect, "patch", "%w", err)
	}
	return &Patch{files: files, changes: changes, canonical: canonical}, nil
}

// readPatch parses within bounds, and sees to it that the parser passed over
// nothing.
func readPatch(r io.Reader, j *judge) ([]*gitdiff.File, error) {
	input, err := io.ReadAll(io.LimitReader(r, j.maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if int64(len(input)) > j.maxBytes {
		return nil, fmt.Errorf("reading: more than %d bytes", j.maxBytes)
	}
	if n := bytes.Count(input, []byte("\ndiff --git ")); n >= j.maxFiles {
		return nil, fmt.Errorf("reading: more than %d files", j.maxFiles)
	}
	if err := boundHeaders(input); err != nil {
		return nil, fmt.Errorf("parsing: %w", err)
	}
	files, preamble, err := gitdiff.Parse(bytes.NewReader(input))
	if err != nil {
		return nil, fmt.Errorf("parsing: %w", err)
	}
	if preamble != "" || lines(files) != bytes.Count(input, []byte("\n")) {
		return nil, fmt.Errorf("parsing: there are lines that belong to no change")
	}
	return files, nil
}

// lines counts the lines that git would print for files. The parser skips what
// it doesn't know (text between files, combined diffs, repeated headers): then
// the input has more.
func lines(files []*gitdiff.File) int {
	n := 0
	for _, file := range files {
		n += strings.Count(file.String(), "\n")
	}
	return n
}

// files judges all files of a patch.
func (j *judge) files(files []*gitdiff.File) ([]Change, []Refusal) {
	var changes []Change
	var refusals []Refusal
	seen := newPathSet()
	for _, file := range files {
		path := pathOf(file)
		judged, allowed := j.path(path)
		broken := malformed(file)
		if broken == nil && !allowed {
			broken = judged
		}
		if broken == nil {
			broken = seen.add(path)
		}
		if broken != nil {
			refusals = append(refusals, *broken)
			continue
		}
		change := changeOf(file)
		if judged != nil {
			change.AutoRun = judged.Reason
		}
		changes = append(changes, change)
	}
	return changes, refusals
}

// pathOf gives the one path that a file of a patch is about.
func pathOf(file *gitdiff.File) string {
	if file.IsDelete {
		return file.OldName
	}
	return file.NewName
}

func changeOf(file *gitdiff.File) Change {
	change := Change{Path: pathOf(file), Kind: kindOf(file), Binary: file.IsBinary}
	if !file.IsDelete {
		change.Mode = modeAfter(file)
	}
	for _, fragment := range file.TextFragments {
		change.Added += fragment.LinesAdded
		change.Deleted += fragment.LinesDeleted
	}
	return change
}

func kindOf(file *gitdiff.File) ChangeKind {
	switch {
	case file.IsNew:
		return ChangeAdd
	case file.IsDelete:
		return ChangeDelete
	case !changesContent(file):
		return ChangeMode
	default:
		return ChangeModify
	}
}

// changesContent tells whether a file that stays gets another content.
func changesContent(file *gitdiff.File) bool {
	return len(file.TextFragments) > 0 || file.BinaryFragment != nil
}

// modeAfter gives the permissions that git means by a file's mode.
func modeAfter(file *gitdiff.File) fs.FileMode {
	if file.NewMode != 0 {
		return file.NewMode.Perm()
	}
	return file.OldMode.Perm()
}

// pathSet finds paths of one patch that can't be made beside each other on
// every file system.
type pathSet struct {
	files   map[string]string // folded path of a file → its spelling
	folders map[string]string // folded path of a folder that holds one → its spelling
}

func newPathSet() *pathSet {
	return &pathSet{files: map[string]string{}, folders: map[string]string{}}
}

// add enters path, or says which rule that breaks.
func (s *pathSet) add(path string) *Refusal {
	folded := gitpath.FoldPath(path)
	if _, ok := s.folders[folded]; ok {
		return &Refusal{path, RuleCollision, "the patch also changes files in a folder of that name"}
	}
	switch other, ok := s.files[folded]; {
	case ok && other == path:
		return &Refusal{path, RuleDuplicate, "the patch changes it twice"}
	case ok:
		return &Refusal{path, RuleCollision, "the patch holds another path that differs in case only"}
	}
	s.files[folded] = path
	return s.addFolders(path, folded)
}

// addFolders enters the folders that path lies in.
func (s *pathSet) addFolders(path, folded string) *Refusal {
	var end, foldedEnd int
	for {
		slash := strings.IndexByte(path[end:], '/')
		if slash < 0 {
			return nil
		}
		end += slash
		foldedEnd += strings.IndexByte(folded[foldedEnd:], '/') // fold keeps the slashes
		if broken := s.addFolder(path, path[:end], folded[:foldedEnd]); broken != nil {
			return broken
		}
		end, foldedEnd = end+1, foldedEnd+1
	}
}

func (s *pathSet) addFolder(path, folder, folded string) *Refusal {
	if _, ok := s.files[folded]; ok {
		return &Refusal{path, RuleCollision, "the patch also changes a file of the name of its folder"}
	}
	if other, ok := s.folders[folded]; ok && other != folder {
		return &Refusal{path, RuleCollision, "the patch holds another folder that differs in case only"}
	}
	s.folders[folded] = folder
	return nil
}
