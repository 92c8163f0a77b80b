package workspace

import (
	"bytes"
	"errors"
)

// Bounds of the line that begins a file of a patch, which has its path twice.
// Git quotes a name that isn't plain, with up to four bytes for one.
const (
	headerStart    = "diff --git "
	maxHeader      = 2*maxPath + 16
	maxHeaderName  = maxName + 8 // the last of one path and what follows it
	quotedIsLonger = 4
)

// boundHeaders refuses names that nothing can have before they are parsed: to
// find where one path ends and the next begins the parser takes time that grows
// with the line times its longest part without a slash.
func boundHeaders(patch []byte) error {
	for line := range bytes.Lines(patch) {
		paths, found := bytes.CutPrefix(line, []byte(headerStart))
		if !found {
			continue
		}
		times := 1
		if bytes.IndexByte(paths, '"') >= 0 {
			times = quotedIsLonger
		}
		if len(paths) > times*maxHeader || longestName(paths) > times*maxHeaderName {
			return errors.New("a path is too long, or a name in it")
		}
	}
	return nil
}

func longestName(paths []byte) int {
	longest := 0
	for name := range bytes.SplitSeq(paths, []byte("/")) {
		longest = max(longest, len(name))
	}
	return longest
}
