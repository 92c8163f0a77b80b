package needles

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
)

// Form is the spelling in which a secret was found.
type Form string

// The forms. In each of them, escapes may stand for some of the bytes and, between the
// letters and digits, anything that is neither.
const (
	Plain    Form = "plain"
	Escaped  Form = "escaped" // plain, where at least one byte is escaped
	Base64   Form = "base64"
	Hex      Form = "hex"
	Reversed Form = "reversed"
)

// form is a text to look for.
type form struct {
	kind Form
	text string
}

func formsOf(value string) []form {
	var list []form
	add := func(kind Form, text string) {
		if len(text) >= MinBytes && !slices.ContainsFunc(list, func(f form) bool { return f.text == text }) {
			list = append(list, form{kind, text})
		}
	}
	reversed := []byte(value)
	slices.Reverse(reversed)
	for _, escapes := range []string{"", "%", `\`, `%\`} { // those in the secret itself, as the lanes see them
		add(Plain, unescaped(value, escapes))
		add(Reversed, unescaped(string(reversed), escapes))
	}
	add(Hex, hex.EncodeToString([]byte(value)))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for phase := range 3 {
			text := inside(encoding, value, phase)
			if encoding == base64.RawURLEncoding && len(lettersAndDigits(text)) >= minLoose {
				continue // the other alphabet has the same letters and digits
			}
			add(Base64, text)
		}
	}
	return list
}

// inside is what of value's base64 doesn't depend on what stands before and after it,
// where value begins phase bytes into a group of three.
func inside(encoding *base64.Encoding, value string, phase int) string {
	padded := make([]byte, phase, phase+len(value))
	padded = append(padded, value...)
	encoded := encoding.EncodeToString(padded)
	first := []int{0, 2, 3}[phase]
	last := len(padded) * 8 / 6
	return encoded[min(first, last):last]
}
