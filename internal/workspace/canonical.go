package workspace

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
)

// canonicalize strips files, in place, of what doesn't matter, and gives their
// canonical form. What binary parts inflate to, and the form itself, may take
// up to limit bytes each.
func canonicalize(files []*gitdiff.File, limit int64) ([]byte, error) {
	left := limit
	var b bytes.Buffer
	for _, file := range files {
		if err := stripBinary(file, &left); err != nil {
			return nil, fmt.Errorf("reading binary data of %+q: %w", pathOf(file), err)
		}
		for _, fragment := range file.TextFragments {
			fragment.Comment = "" // text of the agent's choice
		}
		writeChange(&b, file)
		if int64(b.Len()) > limit {
			return nil, fmt.Errorf("writing: more than %d bytes", limit)
		}
	}
	return b.Bytes(), nil
}

// stripBinary drops the way back of a binary change and stores its data
// uncompressed, taking its size from left.
func stripBinary(file *gitdiff.File, left *int64) error {
	file.ReverseBinaryFragment = nil
	fragment := file.BinaryFragment
	if fragment == nil {
		return nil
	}
	if fragment.Size > *left {
		return fmt.Errorf("it inflates to more than is allowed")
	}
	*left -= fragment.Size
	data, err := io.ReadAll(fragment.Data()) // reads Size+1 bytes at most
	if err != nil {
		return err
	}
	fragment.RawData, err = stored(data)
	return err
}

// stored gives data as a zlib stream of stored blocks (RFC 1950, RFC 1951
// section 3.2.4): there is one way to write it, whatever the compressor.
func stored(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, zlib.NoCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// writeChange writes one file as git diff --binary --full-index does.
func writeChange(b *bytes.Buffer, file *gitdiff.File) {
	path := pathOf(file)
	fmt.Fprintf(b, "diff --git %s %s\n", quoteName("a/"+path), quoteName("b/"+path))
	writeModes(b, file)
	writeIndex(b, file)
	if fragment := file.BinaryFragment; fragment != nil {
		b.WriteString("GIT binary patch\n")
		b.WriteString(fragment.String())
		return
	}
	if len(file.TextFragments) == 0 {
		return
	}
	fmt.Fprintf(b, "--- %s\n+++ %s\n", sideName("a/", file.OldName), sideName("b/", file.NewName))
	for _, fragment := range file.TextFragments {
		b.WriteString(fragment.String())
	}
}

func writeModes(b *bytes.Buffer, file *gitdiff.File) {
	switch {
	case file.IsNew:
		fmt.Fprintf(b, "new file mode %o\n", file.NewMode)
	case file.IsDelete:
		fmt.Fprintf(b, "deleted file mode %o\n", file.OldMode)
	case file.NewMode != 0:
		fmt.Fprintf(b, "old mode %o\nnew mode %o\n", file.OldMode, file.NewMode)
	}
}

// writeIndex writes the object ids, with the mode where it neither comes, goes
// nor changes.
func writeIndex(b *bytes.Buffer, file *gitdiff.File) {
	if !file.IsNew && !file.IsDelete && !changesContent(file) {
		return
	}
	fmt.Fprintf(b, "index %s..%s", file.OldOIDPrefix, file.NewOIDPrefix)
	if !file.IsNew && !file.IsDelete && file.NewMode == 0 {
		fmt.Fprintf(b, " %o", file.OldMode)
	}
	b.WriteByte('\n')
}

// sideName writes the name after --- or +++. A name with blanks is ended by a
// tab, as git does, for tools that take what follows a blank for a time.
func sideName(prefix, name string) string {
	if name == "" {
		return "/dev/null"
	}
	quoted := quoteName(prefix + name)
	if strings.Contains(quoted, " ") && quoted[0] != '"' {
		quoted += "\t"
	}
	return quoted
}

// quoteName writes a name as git does with core.quotePath: in quotes, with
// octal escapes, as soon as one byte isn't plain (see quote.c). No name here
// holds a control character.
func quoteName(name string) string {
	var b strings.Builder
	plain := true
	for _, c := range []byte(name) {
		switch {
		case c == '"' || c == '\\':
			plain = false
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c >= 0x7f:
			plain = false
			fmt.Fprintf(&b, "\\%03o", c)
		default:
			b.WriteByte(c)
		}
	}
	if plain {
		return name
	}
	return `"` + b.String() + `"`
}
