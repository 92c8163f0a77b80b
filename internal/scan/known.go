package scan

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/secret"
)

// needle is one form of a known secret.
type needle struct {
	name string
	form string
	text []byte
}

// A known secret is looked for if it has at least minKnown bytes, for a shorter one is
// in every text by chance, and by its first maxKnown bytes.
const (
	minKnown = 6
	maxKnown = 1 << 10
)

func needlesOf(known []secret.Value) []needle {
	var all []needle
	for _, k := range known {
		for part := range strings.Lines(k.Reveal()) { // of a key, each line is one
			if value := strings.TrimSpace(part); len(value) >= minKnown && !strings.HasPrefix(value, "-----") {
				all = append(all, formsOf(k.Name(), value[:min(len(value), maxKnown)])...)
			}
		}
	}
	return all
}

func formsOf(name, value string) []needle {
	list := []needle{{name, "plain", []byte(value)}}
	add := func(form, text string) {
		if len(text) >= minKnown && !slices.ContainsFunc(list, func(n needle) bool { return string(n.text) == text }) {
			list = append(list, needle{name, form, []byte(text)})
		}
	}
	encoded := hex.EncodeToString([]byte(value))
	add("hex", encoded)
	add("hex", strings.ToUpper(encoded))
	add("percent", url.QueryEscape(value))
	add("percent", url.PathEscape(value))
	reversed := []byte(value)
	slices.Reverse(reversed)
	add("reversed", string(reversed))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for phase := range 3 {
			add("base64", inside(encoding, value, phase))
		}
	}
	return list
}

// inside is what of value's base64 doesn't depend on what stands before and after it,
// where value begins phase bytes into a group of three.
func inside(encoding *base64.Encoding, value string, phase int) string {
	padded := strings.Repeat("\x00", phase) + value
	encoded := encoding.EncodeToString([]byte(padded))
	first := []int{0, 2, 3}[phase]
	last := len(padded) / 3 * 4
	if last <= first {
		return ""
	}
	return encoded[first:last]
}

// known looks for each form, also across the line breaks that encoders put in.
func (s *Scanner) known(piece []byte, line int) []Finding {
	if len(s.needles) == 0 {
		return nil
	}
	var found []Finding
	dense := bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, piece)
	for _, n := range s.needles {
		at := bytes.Index(piece, n.text)
		if at < 0 && !bytes.Contains(dense, n.text) {
			continue
		}
		found = append(found, Finding{
			Detector: Known, Rule: n.name, Description: "a secret of this run, in the form " + n.form,
			Line: line + bytes.Count(piece[:max(at, 0)], []byte{'\n'}), Begins: "…",
		})
	}
	return found
}
