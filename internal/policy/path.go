package policy

import (
	"errors"
	"fmt"
	"strings"
)

// CanonicalPath gives the one spelling of a request's path, as it stands on the
// wire and without the query; this is what is judged and what must be sent on.
// An empty path becomes "/". Percent-encoded octets that RFC 3986 §2.3 calls
// unreserved, ":" and "@" are decoded, all others get upper-case digits ("%2F"
// stays), and octets that may not stand in a path (RFC 3986 §3.3) are encoded.
//
// It refuses what two servers might read differently: dot segments in any
// spelling (encoded once or more often, behind an encoded slash or backslash,
// with parameters after them), backslashes, control bytes, over-long UTF-8,
// broken escapes, "?" and "#".
func CanonicalPath(raw string) (string, error) {
	if raw == "" {
		return "/", nil
	}
	if raw[0] != '/' {
		return "", fmt.Errorf("reading path %.80q: it doesn't start with a slash", raw)
	}
	path, err := rewritePath(raw)
	if err == nil {
		err = checkDecoded(path)
	}
	if err != nil {
		return "", fmt.Errorf("reading path %.80q: %w", raw, err)
	}
	return path, nil
}

func rewritePath(raw string) (string, error) {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		encoded := c == '%'
		if encoded {
			var ok bool
			if c, ok = unhex(raw[i:]); !ok {
				return "", errors.New("it has a broken percent escape")
			}
			i += 2
		}
		switch {
		case c < ' ' || c == 0x7f:
			return "", errors.New("it has a control byte")
		case !encoded && (c == '\\' || c == '?' || c == '#'):
			return "", fmt.Errorf("%q can't be in a path", c)
		case encoded && staysEncoded(c) || !encoded && !inPath(c):
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// staysEncoded is true for all but unreserved characters, ":" and "@". The last
// two mean the same in both spellings to every server, and patterns have to see
// them: Google's APIs put the verb behind a colon.
func staysEncoded(c byte) bool { return !unreserved(c) && c != ':' && c != '@' }

// inPath is pchar of RFC 3986 §3.3 without escapes, and the slash.
func inPath(c byte) bool { return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@/", c) >= 0 }

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// maxEncodings is how many layers of percent-encoding a path may have. Proxies
// have been seen to decode twice; without a bound the check would take time that
// grows with the square of the length.
const maxEncodings = 4

// checkDecoded looks for what appears when the path is decoded until nothing is
// left to decode, whoever between here and the file would do that.
func checkDecoded(path string) error {
	for range maxEncodings {
		if hasOverlong(path) {
			return errors.New("it has over-long UTF-8")
		}
		if hasDotSegment(path) {
			return errors.New("it has a dot segment")
		}
		next := decodeOnce(path)
		if next == path {
			return nil
		}
		path = next
	}
	return errors.New("it is percent-encoded too often")
}

func hasDotSegment(path string) bool {
	for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		name, _, _ := strings.Cut(segment, ";") // servlet containers drop parameters first
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}

// hasOverlong finds a UTF-8 sequence that is longer than its character needs,
// which careless decoders turn into a dot or a slash.
func hasOverlong(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == 0xc0 || c == 0xc1:
			return true
		case c == 0xe0 && i+1 < len(s) && s[i+1] >= 0x80 && s[i+1] < 0xa0:
			return true
		case c == 0xf0 && i+1 < len(s) && s[i+1] >= 0x80 && s[i+1] < 0x90:
			return true
		}
	}
	return false
}

func decodeOnce(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if c, ok := unhex(s[i:]); ok {
			b.WriteByte(c)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unhex reads the escape "%XX" at the start of s.
func unhex(s string) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := digit(s[1]), digit(s[2])
	return byte(high<<4 | low), high >= 0 && low >= 0
}

func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
