package dlp

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// Bounds of a body with an encoding: it is gathered, undone and looked at before any of
// it passes.
const (
	maxEncoded  = 8 << 20
	maxDecoded  = 64 << 20
	maxEncoding = 2 // encodings around each other
)

// decodings undo the encodings of RFC 9110, section 8.4.1, and of RFC 8878.
var decodings = map[string]func(io.Reader) (io.Reader, error){
	"gzip":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"x-gzip":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"deflate": inflate,
	"zstd": func(r io.Reader) (io.Reader, error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoded), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	},
	"br":       func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
	"identity": func(r io.Reader) (io.Reader, error) { return r, nil },
}

// inflate takes what deflate is, and what some clients take it for: the latter without
// zlib's frame.
func inflate(r io.Reader) (io.Reader, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if z, err := zlib.NewReader(bytes.NewReader(b)); err == nil {
		return z, nil
	}
	return flate.NewReader(bytes.NewReader(b)), nil
}

// layers are the encodings of a body, the outermost first.
func layers(contentEncoding string) (list []string) {
	for name := range strings.SplitSeq(strings.ToLower(contentEncoding), ",") {
		if name = strings.TrimSpace(name); name != "" {
			list = append(list, name)
		}
	}
	slices.Reverse(list)
	return list
}

// decodable tells whether the encodings can be undone here.
func decodable(contentEncoding string) bool {
	list := layers(contentEncoding)
	return len(list) <= maxEncoding && !slices.ContainsFunc(list, func(name string) bool { return decodings[name] == nil })
}

// decode undoes the encodings.
func decode(contentEncoding string, b []byte) ([]byte, error) {
	for _, name := range layers(contentEncoding) {
		r, err := decodings[name](bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("undoing %s: %w", name, err)
		}
		if b, err = io.ReadAll(io.LimitReader(r, maxDecoded+1)); err != nil {
			return nil, fmt.Errorf("undoing %s: %w", name, err)
		}
		if len(b) > maxDecoded {
			return nil, fmt.Errorf("undoing %s: it has more than %d bytes", name, maxDecoded)
		}
	}
	return b, nil
}

// decoded looks at a body with an encoding.
type decoded struct {
	text     *outbound
	encoding string
}

func newDecoded(text *outbound, encoding string) *decoded {
	text.refuses = true // what is compressed can't be changed in its place
	return &decoded{text, encoding}
}

func (d *decoded) see(held []byte, _ int) (int, error) {
	if len(held) > maxEncoded {
		return 0, unreadable(d.text.route, fmt.Errorf("a body with the encoding %.40q may have %d bytes", d.encoding, maxEncoded))
	}
	return len(held), nil
}

func (d *decoded) end(held []byte) error {
	if len(held) == 0 {
		return nil
	}
	plain, err := decode(d.encoding, held)
	if err != nil {
		return unreadable(d.text.route, err)
	}
	for piece := range slices.Chunk(plain, chunk) {
		if _, err := d.text.see(piece, len(piece)); err != nil {
			return err
		}
	}
	return d.text.end(nil)
}
