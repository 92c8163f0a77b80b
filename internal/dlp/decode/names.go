package decode

import (
	"bytes"
	"strings"
)

// Names of encodings (RFC 9110, 8.4.1; RFC 7932; RFC 8878), and zlib where its own frame
// was sniffed.
const (
	gzipName    = "gzip"
	deflateName = "deflate"
	brotliName  = "br"
	zstdName    = "zstd"
	zlibName    = "zlib"
)

// declared reads Content-Encoding, and gives the encodings from the outermost inwards.
func declared(contentEncoding string) ([]string, error) {
	var names []string
	for field := range strings.SplitSeq(contentEncoding, ",") {
		name := strings.ToLower(strings.Trim(field, " \t"))
		switch name {
		case "", "identity":
			continue
		case "x-gzip":
			name = gzipName
		case gzipName, deflateName, brotliName, zstdName:
		default:
			return nil, &Fault{Kind: Unknown, Encoding: name[:min(len(name), 32)], Depth: len(names) + 1}
		}
		if len(names) == MaxDepth {
			return nil, &Fault{Kind: TooDeep, Encoding: name, Depth: MaxDepth + 1}
		}
		names = append([]string{name}, names...) // they are listed in the order of their application
	}
	return names, nil
}

// magics are the first bytes of encodings, and of archives that hide what they hold
// (file(1), magic(5)).
var magics = []struct {
	name    string
	begins  string
	undoing bool // we can undo it
}{
	{gzipName, "\x1f\x8b", true},
	{zstdName, "\x28\xb5\x2f\xfd", true},
	{"xz", "\xfd7zXZ\x00", false},
	{"bzip2", "BZh", false}, // and more, see isBzip2
	{"lz4", "\x04\x22\x4d\x18", false},
	{"compress", "\x1f\x9d", false},
	{"lzip", "LZIP", false},
	{"zip", "PK\x03\x04", false},
	{"7z", "7z\xbc\xaf\x27\x1c", false},
	{"rar", "Rar!\x1a\x07", false},
}

// magicBytes is how many bytes sniff wants to see.
const magicBytes = 10

// Beginning is what the first bytes of a body tell of it.
type Beginning int

// The beginnings.
const (
	Plain     Beginning = iota // nothing that a Decoder would undo
	Undecided                  // more bytes are needed
	Perhaps                    // the two bytes of zlib, which may be chance
	Encoded                    // what a Decoder undoes, or refuses
)

// Begins tells what a body is that begins with b, for who wants to know it before a
// Decoder is made. What is Undecided at its end is Plain.
func Begins(b []byte) Beginning {
	name, _ := sniff(b[:min(len(b), magicBytes)])
	switch {
	case name == zlibName:
		return Perhaps
	case name != "":
		return Encoded
	case len(b) == 0, undecided(b):
		return Undecided
	}
	return Plain
}

// undecided tells whether what begins with b may still have a magic.
func undecided(b []byte) bool {
	for _, m := range magics {
		if strings.HasPrefix(m.begins, string(b)) || m.name == "bzip2" && len(b) < magicBytes && isBzip2(b) {
			return true
		}
	}
	first := b[0]
	return len(b) == 1 && first&0x0f == 8 && first>>4 <= 7 || len(b) < 4 && first&0xf0 == 0x50 && strings.HasPrefix("\x2a\x4d\x18", string(b[1:]))
}

// isBzip2 tells whether b may begin as bzip2 does: a digit and the magic of a block follow
// the three letters, which alone may be text.
func isBzip2(b []byte) bool {
	const digit, block = 3, "1AY&SY"
	rest := string(b[min(len(b), digit+1):])
	return bytes.HasPrefix(b, []byte("BZh")) && strings.HasPrefix(block, rest)
}

// sniff names the encoding that begins with b.
func sniff(b []byte) (name string, undoing bool) {
	for _, m := range magics {
		if bytes.HasPrefix(b, []byte(m.begins)) && (m.name != "bzip2" || len(b) == magicBytes && isBzip2(b)) {
			return m.name, m.undoing
		}
	}
	if isSkippable(b) {
		return zstdName, true
	}
	if isZlib(b) {
		return zlibName, true
	}
	return "", false
}

// isSkippable tells whether b begins with a frame of zstd that holds nothing (RFC 8878,
// 3.1.2), which a decoder passes over.
func isSkippable(b []byte) bool {
	return len(b) >= 4 && b[0]&0xf0 == 0x50 && string(b[1:4]) == "\x2a\x4d\x18"
}

// isZlib tells whether b begins with the header of zlib (RFC 1950, 2.2).
func isZlib(b []byte) bool {
	return len(b) >= 2 && b[0]&0x0f == 8 && b[0]>>4 <= 7 && (int(b[0])<<8|int(b[1]))%31 == 0 && b[1]&0x20 == 0
}
