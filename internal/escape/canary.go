package escape

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/url"
	"slices"
	"strings"
)

// newCanary gives a word that nobody has by chance, and that can be a label of a
// name.
func newCanary() string {
	b := make([]byte, 12)
	rand.Read(b) // never fails (crypto/rand)
	return "canary" + hex.EncodeToString(b)
}

// carries tells in which encoding data has the canary, or "".
func carries(data []byte, canary string) string {
	for name, form := range encodings(canary) {
		if bytes.Contains(bytes.ToLower(data), bytes.ToLower([]byte(form))) {
			return name
		}
	}
	for name, plain := range unpacked(data) {
		if bytes.Contains(plain, []byte(canary)) {
			return name
		}
	}
	return ""
}

// encodings are the forms that are looked for. Of base64 there are three, by where
// in a group of three bytes the canary begins; their edges depend on what stands
// around them, and are left off.
func encodings(canary string) map[string]string {
	forms := map[string]string{
		"plain":    canary,
		"hex":      hex.EncodeToString([]byte(canary)),
		"percent":  percent(canary),
		"reversed": reversed(canary),
		"escaped":  url.QueryEscape(canary),
	}
	for phase := range 3 {
		padded := strings.Repeat("x", phase) + canary
		whole := len(padded) / 3 * 3
		text := base64.StdEncoding.EncodeToString([]byte(padded[:whole]))
		if phase > 0 {
			text = text[4:]
		}
		forms["base64"+strings.Repeat("'", phase)] = text
		forms["base64url"+strings.Repeat("'", phase)] = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	}
	return forms
}

func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteString("%" + hex.EncodeToString([]byte{c}))
	}
	return b.String()
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// maxUnpacked bounds what comes out of a compressed body.
const maxUnpacked = 1 << 20

// unpacked gives what data is if it is compressed, from any place that looks like
// the beginning of it.
func unpacked(data []byte) map[string][]byte {
	found := map[string][]byte{}
	if i := bytes.Index(data, []byte{0x1f, 0x8b}); i >= 0 {
		if r, err := gzip.NewReader(bytes.NewReader(data[i:])); err == nil {
			found["gzip"], _ = io.ReadAll(io.LimitReader(r, maxUnpacked))
		}
	}
	if i := bytes.Index(data, []byte("\r\n\r\n")); i >= 0 {
		found["deflate"], _ = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data[i+4:])), maxUnpacked))
	}
	return found
}
