package decision

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"iter"
)

// maxRead is the longest line that Read gives: longer than any that FileLog
// writes.
const maxRead = 2 * maxVerdict

// Read gives the lines of a log in their order. What is not a line of one is
// skipped: the rest of one that was cut short by a full disk or a killed process,
// or anything that a sidecar which was taken over has written. An error of r ends
// the lines.
func Read(r io.Reader) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for in := bufio.NewReaderSize(r, maxRead); ; {
			text, err := in.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				err = skipLine(in)
				text = nil
			}
			var l Line
			if len(text) > 0 && json.Unmarshal(text, &l) == nil && l.Kind != "" && !yield(l) {
				return
			}
			if err != nil {
				return
			}
		}
	}
}

// skipLine reads to the end of a line of any length.
func skipLine(in *bufio.Reader) error {
	for {
		if _, err := in.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
