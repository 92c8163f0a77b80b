package workspace

import (
	"io/fs"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
	"github.com/bot-bottle/action/internal/mutation"
)

// Modes of a tree entry, as the parser gives them: the octal number, unchanged.
// See git-fast-import(1), "filemodify".
const (
	modeFile       fs.FileMode = 0o100644
	modeExecutable fs.FileMode = 0o100755
	modeSymlink    fs.FileMode = 0o120000
	modeSubmodule  fs.FileMode = 0o160000
)

// malformed judges what a file of a patch says apart from its path. The parser
// takes more than git prints, and other tools may take it differently.
func malformed(file *gitdiff.File) *Refusal {
	for _, judge := range []func(*gitdiff.File) (Rule, string){
		judgeNames, judgeModes, judgeObjectIDs, judgeContent, judgeFragments,
	} {
		if rule, reason := judge(file); rule != "" {
			return &Refusal{pathOf(file), rule, reason}
		}
	}
	return nil
}

func judgeNames(file *gitdiff.File) (Rule, string) {
	switch {
	case file.IsRename || file.IsCopy || file.Score != 0:
		return RuleRename, "renames and copies are written as an addition and a removal"
	case file.IsNew && file.IsDelete:
		return RuleMalformed, "it is both new and deleted"
	case file.IsNew && file.OldName != "", file.IsDelete && file.NewName != "":
		return RuleMalformed, "a file that isn't there has a name"
	case !file.IsNew && !file.IsDelete && file.OldName != file.NewName:
		return RuleRename, "its name changes"
	}
	return "", ""
}

func judgeModes(file *gitdiff.File) (Rule, string) {
	if mutation.On(mutation.PatchAnyMode) {
		return "", ""
	}
	for _, mode := range []fs.FileMode{file.OldMode, file.NewMode} {
		switch mode {
		case 0, modeFile, modeExecutable:
		case modeSymlink:
			return RuleSymlink, "symbolic links don't leave the guest"
		case modeSubmodule:
			return RuleGitlink, "submodules and repositories within the workspace don't leave the guest"
		default:
			return RuleMode, "its mode is neither that of a file nor of a program"
		}
	}
	switch {
	case file.IsNew && (file.NewMode == 0 || file.OldMode != 0),
		file.IsDelete && (file.OldMode == 0 || file.NewMode != 0),
		file.OldMode == 0 && file.NewMode == 0,
		!file.IsNew && file.OldMode == 0,
		file.OldMode == file.NewMode:
		return RuleMalformed, "its modes contradict the kind of change"
	}
	return "", ""
}

// judgeObjectIDs wants the full ids of both sides, of one length, wherever the
// content changes: Apply compares files with them.
func judgeObjectIDs(file *gitdiff.File) (Rule, string) {
	before, after := file.OldOIDPrefix, file.NewOIDPrefix
	if kindOf(file) == ChangeMode {
		if before != after {
			return RuleMalformed, "its object ids say that the content changes"
		}
		return "", ""
	}
	if len(before) != len(after) || !isObjectID(before) || !isObjectID(after) {
		return RuleMalformed, "it doesn't have two full object ids"
	}
	if isNull(before) != file.IsNew || isNull(after) != file.IsDelete {
		return RuleMalformed, "its object ids contradict the kind of change"
	}
	return "", ""
}

// isObjectID tells whether s is an SHA-1 or SHA-256 in lower case.
func isObjectID(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// isNull tells whether id stands for "no object".
func isNull(id string) bool { return strings.Trim(id, "0") == "" }

func judgeContent(file *gitdiff.File) (Rule, string) {
	switch {
	case file.IsBinary && (file.BinaryFragment == nil || len(file.TextFragments) > 0):
		return RuleMalformed, "its binary data is missing"
	case !file.IsBinary && file.BinaryFragment != nil:
		return RuleMalformed, "it has binary data but isn't binary"
	case kindOf(file) == ChangeMode && file.NewMode == 0:
		return RuleMalformed, "nothing changes"
	case (file.IsNew || file.IsDelete) && len(file.TextFragments) > 1:
		return RuleMalformed, "a whole file comes in several pieces"
	case (file.IsNew || file.IsDelete) && !changesContent(file) && !hasEmptySide(file):
		return RuleMalformed, "its content is missing"
	}
	return "", ""
}

// emptyBlobs are the ids of the empty file.
var emptyBlobs = [...]string{
	"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
	"473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}

// hasEmptySide tells whether the content that comes or goes is the empty one.
func hasEmptySide(file *gitdiff.File) bool {
	for _, id := range emptyBlobs {
		if file.OldOIDPrefix == id || file.NewOIDPrefix == id {
			return true
		}
	}
	return false
}

// judgeFragments wants positions that agree with each other: the parser goes by
// the old ones, git apply by the new ones.
func judgeFragments(file *gitdiff.File) (Rule, string) {
	var end, shift int64 // of the old side; how far the new side lies from it
	for i, fragment := range file.TextFragments {
		if fragment.Validate() != nil || !positionsAgree(fragment, shift) || fragment.OldPosition < end {
			return RuleMalformed, "its pieces contradict each other"
		}
		if endsEarly(fragment, i == len(file.TextFragments)-1) {
			return RuleMalformed, "a line without end isn't the last"
		}
		end = fragment.OldPosition + fragment.OldLines
		shift += fragment.NewLines - fragment.OldLines
	}
	return "", ""
}

// positionsAgree checks one fragment. A side without lines is at 0, which only
// a whole file without context can have.
func positionsAgree(fragment *gitdiff.TextFragment, shift int64) bool {
	const far = 1 << 40 // no sum of two positions below it overflows
	oldAt, newAt := fragment.OldPosition, fragment.NewPosition
	if oldAt < 0 || newAt < 0 || oldAt > far || newAt > far {
		return false
	}
	if (fragment.OldLines == 0) != (oldAt == 0) || (fragment.NewLines == 0) != (newAt == 0) {
		return false
	}
	switch {
	case oldAt == 0:
		return newAt == 1 && shift == 0
	case newAt == 0:
		return oldAt == 1 && shift == 0
	default:
		return newAt == oldAt+shift
	}
}

// endsEarly tells whether a line without line feed is followed by another of
// its side.
func endsEarly(fragment *gitdiff.TextFragment, last bool) bool {
	var oldEnded, newEnded bool
	for _, line := range fragment.Lines {
		if line.Old() && oldEnded || line.New() && newEnded {
			return true
		}
		oldEnded = oldEnded || line.Old() && line.NoEOL()
		newEnded = newEnded || line.New() && line.NoEOL()
	}
	return !last && (oldEnded || newEnded)
}
