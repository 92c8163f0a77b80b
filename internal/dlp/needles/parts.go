package needles

import (
	"fmt"
	"regexp"
	"strings"
)

// public is what stands in secrets of a kind and tells nothing: the header of a JSON
// Web Token (RFC 7515), and the beginning of each private key that OpenSSH writes
// without a passphrase (PROTOCOL.key of its source), in general and up to where the
// public half of an Ed25519 key begins.
var (
	tokenHeader = regexp.MustCompile(`^eyJ[A-Za-z0-9_-]*\.`)
	armour      = regexp.MustCompile(`(?m)^-----.*$`)
	keyHeaders  = []string{
		"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\nQyNTUxOQAAACB",
		"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAA",
	}
)

// gap stands where something public was.
const gap = "\x00\x00gap\x00\x00"

// partsOf gives the texts that value is looked for by: what is left of it without what
// is public, and such lines of it as are too short for a Window.
func partsOf(name, value string, public []string) (parts []string, refused []Unusable) {
	refuse := func(line int, reason string) { refused = append(refused, Unusable{name, line, reason}) }
	if len(value) > MaxBytes {
		refuse(0, fmt.Sprintf("only its first %d bytes are, of %d", MaxBytes, len(value)))
		value = value[:MaxBytes]
	}
	if strings.TrimSpace(value) == "" {
		refuse(0, "it is empty")
		return nil, refused
	}
	value = withoutPublic(value, public)
	pieces := piecesOf(value)
	for _, piece := range pieces {
		if why := reasonAgainst(piece); why == "" {
			parts = append(parts, piece)
		} else if len(pieces) == 1 {
			refuse(0, why)
			return nil, refused
		}
	}
	lines := strings.Split(value, "\n")
	for i := 0; len(lines) > 1 && i < len(lines); i++ {
		short, why := shortLine(lines[i], parts)
		if why != "" {
			refuse(i+1, why)
		}
		parts = append(parts, short...)
	}
	if len(parts) == 0 && len(refused) == 0 {
		refuse(0, "what is not public of it is too short, or too common")
	}
	return parts, refused
}

// withoutPublic puts a gap in place of all that is public in value. Lines keep their
// numbers.
func withoutPublic(value string, public []string) string {
	replace := func(p string) { value = strings.ReplaceAll(value, p, gap+strings.Repeat("\n", strings.Count(p, "\n"))) }
	value = armour.ReplaceAllString(value, gap)
	value = tokenHeader.ReplaceAllString(value, gap)
	for _, list := range [][]string{keyHeaders, public} {
		for _, p := range list {
			if len(p) >= MinBytes {
				replace(p)
			}
		}
	}
	return value
}

// piecesOf gives what stands between the gaps.
func piecesOf(value string) (pieces []string) {
	for piece := range strings.SplitSeq(value, gap) {
		if piece = strings.Trim(piece, " \t\r\n"); piece != "" {
			pieces = append(pieces, piece)
		}
	}
	return pieces
}

// shortLine gives a line of a secret where no Window fits into it, for it may be sent
// alone. If it can't be looked for alone and stands in no part in which a Window fits,
// it gives the reason.
func shortLine(line string, parts []string) (short []string, why string) {
	for _, piece := range piecesOf(line) {
		if len(lettersAndDigits(piece)) >= Window {
			continue
		}
		against := reasonAgainst(piece)
		if against == "" {
			short = append(short, piece)
		} else if !coveredBy(parts, piece) {
			why = against
		}
	}
	return short, why
}

func coveredBy(parts []string, piece string) bool {
	for _, p := range parts {
		if strings.Contains(p, piece) && len(lettersAndDigits(p)) >= Window {
			return true
		}
	}
	return false
}

// reasonAgainst tells why a text is not to be looked for; "" is none.
func reasonAgainst(text string) string {
	dense := lettersAndDigits(text)
	switch {
	case len(text) < MinBytes:
		return fmt.Sprintf("it has %d bytes, which stand in any text by chance; at least %d are needed", len(text), MinBytes)
	case distinct(text) < 4:
		return "it is made of less than 4 different characters"
	case len(dense) == len(text) && len(text) < 10 && strings.Trim(text, "0123456789") == "":
		return "it is a short number, as dates and sizes are"
	case common[strings.ToLower(dense)] || common[strings.ToLower(strings.TrimRight(dense, "0123456789"))] && len(dense) < 10:
		return "it is a common word"
	}
	return ""
}

func distinct(s string) (n int) {
	var seen [256]bool
	for i := range len(s) {
		if c := s[i]; !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}
