package workspace

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// changed gives what file makes of before, nil if it removes it.
func changed(file *gitdiff.File, before *state) (*state, error) {
	content, err := changedContent(file, before.content)
	if err != nil || file.IsDelete {
		return nil, err
	}
	return &state{content: content, mode: changedMode(file, before.mode)}, nil
}

// changedMode sets or clears the execute bits for those who may read, and leaves
// the others. For a new file the umask does the rest.
func changedMode(file *gitdiff.File, before fs.FileMode) fs.FileMode {
	switch {
	case file.IsNew && file.NewMode == modeExecutable:
		return 0o777
	case file.IsNew:
		return 0o666
	case file.NewMode == modeExecutable:
		return before | before>>2&0o111
	case file.NewMode == modeFile:
		return before &^ 0o111
	default:
		return before
	}
}

// changedContent checks that content is what file starts from, and gives what
// it ends in.
func changedContent(file *gitdiff.File, content []byte) ([]byte, error) {
	if kindOf(file) == ChangeMode {
		return content, nil
	}
	if file.IsNew || hasID(content, file.OldOIDPrefix) {
		return exactly(file, content)
	}
	if unix := bytes.ReplaceAll(content, crlf, lf); bytes.Equal(dos(unix), content) && hasID(unix, file.OldOIDPrefix) {
		after, err := exactly(file, unix)
		return dos(after), err
	}
	if file.IsDelete || file.IsBinary {
		return nil, conflictf("it isn't what the agent was given")
	}
	after, err := patched(file, content)
	if err != nil {
		return nil, conflictf("it isn't what the agent was given, and the lines around the change differ too")
	}
	return after, nil
}

var (
	crlf = []byte("\r\n")
	lf   = []byte("\n")
)

// dos gives content with CRLF for each LF.
func dos(content []byte) []byte { return bytes.ReplaceAll(content, lf, crlf) }

// exactly patches content, whose id is known to be right, and checks that the
// result is what the patch says.
func exactly(file *gitdiff.File, content []byte) ([]byte, error) {
	after, err := patched(file, content)
	if err != nil {
		return nil, conflictf("the patch contradicts itself: %v", err)
	}
	if file.IsDelete {
		if len(after) > 0 && len(file.TextFragments) > 0 {
			return nil, conflictf("the patch contradicts itself: something would be left")
		}
		return nil, nil
	}
	if !hasID(after, file.NewOIDPrefix) {
		return nil, conflictf("the patch contradicts itself: the result isn't what it says")
	}
	return after, nil
}

// patched runs the changes of file over content. Lines must match in content
// and place.
func patched(file *gitdiff.File, content []byte) ([]byte, error) {
	if !changesContent(file) {
		return content, nil
	}
	if err := atEnd(file, content); err != nil {
		return nil, err
	}
	var after bytes.Buffer
	err := gitdiff.Apply(&after, bytes.NewReader(content), file, gitdiff.WithMaxBinaryFragmentBytes(maxTreeBytes))
	if conflict, ok := errors.AsType[*gitdiff.Conflict](err); ok {
		return nil, conflict
	}
	if err != nil {
		return nil, fmt.Errorf("applying: %w", err)
	}
	return after.Bytes(), nil
}

// atEnd wants a hunk without trailing context, which git makes only at the end of
// a file, to lie there: what was appended once isn't appended again.
func atEnd(file *gitdiff.File, content []byte) error {
	lines := int64(bytes.Count(content, []byte("\n")))
	if len(content) > 0 && content[len(content)-1] != '\n' {
		lines++
	}
	for _, f := range file.TextFragments {
		end := f.OldPosition + f.OldLines - 1
		if f.OldLines == 0 {
			end = f.OldPosition
		}
		if f.TrailingContext == 0 && end != lines {
			return &conflictError{reason: "the file goes on where the change ends"}
		}
	}
	return nil
}

// hasID tells whether git gives content, as a blob, the object id id. The
// length of the id says which hash it is made with. See gitformat-loose.
func hasID(content []byte, id string) bool {
	var h hash.Hash
	switch len(id) {
	case sha1.Size * 2:
		h = sha1.New()
	case sha256.Size * 2:
		h = sha256.New()
	default:
		return false
	}
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil)) == id
}
