package needles

import (
	"bytes"
	"unicode/utf8"
)

// nested bounds how often an escape is escaped itself.
const nested = 16

// lone is added to a byte that is no character by itself, but part of one in UTF-8.
const lone = utf8.MaxRune + 1

// undo gives the character that the escape at the beginning of p stands for and its
// length; of what is no escape, the first byte as it is. ok is false if p ends within
// what may be one and more of it may come. p begins with % or \.
func undo(p []byte, last bool) (value rune, n int, ok bool) {
	if p[0] == '%' {
		return undoPercent(p, last)
	}
	return undoBackslash(p, last)
}

// undoPercent undoes %41, also where the % was escaped again: %2541 (RFC 3986, 2.1).
func undoPercent(p []byte, last bool) (rune, int, bool) {
	n := 1
	for n < 1+2*nested && bytes.HasPrefix(p[n:], []byte("25")) {
		n += 2
	}
	value, digits := hexValue(p[n:], 2)
	switch {
	case digits == 2 && value >= utf8.RuneSelf:
		return value + lone, n + 2, true
	case digits == 2:
		return value, n + 2, true
	case n+digits == len(p) && !last:
		return 0, 0, false
	}
	return '%', n, true
}

// simple are the escapes of one letter (RFC 8259, 7); 0 is none.
var simple = [256]rune{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f', '"': '"', '/': '/'}

// digitsAfter is how many digits come after a letter.
var digitsAfter = [256]int{'u': 4, 'x': 2}

// undoBackslash undoes the escapes of JSON and \x41, also where a backslash was escaped
// again, as in JSON inside of JSON.
func undoBackslash(p []byte, last bool) (rune, int, bool) {
	n := 1
	for n < nested && n < len(p) && p[n] == '\\' {
		n++
	}
	if n == len(p) {
		return '\\', n, last
	}
	if value := simple[p[n]]; value != 0 {
		return value, n + 1, true
	}
	want := digitsAfter[p[n]]
	value, digits := hexValue(p[n+1:], want)
	switch {
	case want == 2 && digits == want && value >= utf8.RuneSelf:
		return value + lone, n + 1 + want, true
	case want > 0 && digits == want:
		return value, n + 1 + want, true
	case want > 0 && n+1+digits == len(p) && !last:
		return 0, 0, false
	}
	return '\\', n, true
}

// hexValue reads up to want digits and tells how many there were.
func hexValue(p []byte, want int) (value rune, digits int) {
	for digits < want && digits < len(p) {
		c := p[digits]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return value, digits
		}
		value = value<<4 | rune(c)
		digits++
	}
	return value, digits
}

// unescaped undoes the escapes of text that begin with one of the characters, as the
// lanes do.
func unescaped(text, characters string) string {
	class := table(keep, "", characters)
	l := lane{class: &class, undo: true, all: true}
	l.unescape([]byte(text), 0, true, true)
	return string(l.buf)
}
