package decode

import "fmt"

// Kind tells what is wrong with an encoding.
type Kind string

// The kinds of a Fault.
const (
	Unknown  Kind = "unknown encoding"
	TooDeep  Kind = "too many encodings"
	TooLarge Kind = "too large when decoded"
	Broken   Kind = "broken stream"
	Trailing Kind = "bytes after the end" // of gzip and deflate; those of br and zstd are Broken
)

// Fault says that a body can't be looked into, which is a reason to refuse it. It holds
// nothing of the body.
type Fault struct {
	Kind     Kind
	Encoding string // as Content-Encoding would call it; what is declared is cut to 32 bytes
	Depth    int    // of what the encoding would give, from 1
	Sniffed  bool   // the first bytes, not Content-Encoding, tell of the encoding
	Err      error  // of the decoder; may be nil
}

// Error gives the kind, the encoding and the cause.
func (f *Fault) Error() string {
	text := fmt.Sprintf("undoing encoding %d, %q: %s", f.Depth, f.Encoding, f.Kind)
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	return text
}

// Unwrap gives the decoder's error.
func (f *Fault) Unwrap() error { return f.Err }
