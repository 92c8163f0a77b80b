package needles_test

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/dlp/needles"
	"github.com/bot-bottle/action/internal/secret"
)

var (
	escapeOf  = regexp.MustCompile(`^(?:%(?:25){0,16}([0-9A-Fa-f]{2})|\\{1,16}(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([nrtbf"/])))`)
	backslash = regexp.MustCompile(`^\\{1,16}`)
	percent   = regexp.MustCompile(`^%(?:25){0,16}`)
)

// seen is a byte of a lane, and where it stood.
type seen struct {
	c        byte
	from, to int
}

// lanes spells out, slowly, what the matcher looks at: the letters and digits of a
// stream as they are, and with escapes undone.
func lanes(stream []byte) (raw, undone []seen) {
	keep := func(list []seen, r rune, from, to int) []seen {
		if r < 0x80 && strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", r) {
			return append(list, seen{byte(r), from, to})
		}
		return list
	}
	for i, c := range stream {
		raw = keep(raw, rune(c), i, i+1)
	}
	for i := 0; i < len(stream); {
		rest := stream[i:]
		if m := escapeOf.FindSubmatch(rest); m != nil {
			value, _ := strconv.ParseUint(string(m[1])+string(m[2])+string(m[3]), 16, 32)
			undone = keep(undone, rune(value), i, i+len(m[0]))
			i += len(m[0])
			continue
		}
		n := 1
		if m := backslash.Find(rest); m != nil {
			n = len(m)
		} else if m := percent.Find(rest); m != nil {
			n = len(m)
		} else {
			undone = keep(undone, rune(stream[i]), i, i+1)
		}
		i += n
	}
	return raw, undone
}

// covered marks, byte by byte, what naive search finds of a secret that has letters and
// digits enough for a window.
func covered(stream []byte, texts []string) []bool {
	marks := make([]bool, len(stream))
	raw, undone := lanes(stream)
	for _, lane := range [][]seen{raw, undone} {
		for s := 0; s+needles.Window <= len(lane); s++ {
			var w strings.Builder
			for _, b := range lane[s : s+needles.Window] {
				w.WriteByte(b.c)
			}
			if !manyDistinct(strings.ToLower(w.String())) {
				continue
			}
			for _, text := range texts {
				if strings.Contains(text, strings.ToLower(w.String())) {
					for i := lane[s].from; i < lane[s+needles.Window-1].to; i++ {
						marks[i] = true
					}
				}
			}
		}
	}
	return marks
}

func manyDistinct(s string) bool {
	set := map[rune]bool{}
	for _, r := range s {
		set[r] = true
	}
	return len(set) >= 6
}

// textsOf gives the letters and digits, in lower case, of a secret made of these alone.
func textsOf(value string) (texts []string) {
	texts = append(texts, value, reverse(value), hex.EncodeToString([]byte(value)))
	for phase := range 3 {
		padded := strings.Repeat("\x00", phase) + value
		encoded := base64.RawStdEncoding.EncodeToString([]byte(padded))
		texts = append(texts, encoded[[]int{0, 2, 3}[phase]:len(padded)*8/6])
	}
	for i, text := range texts {
		raw, _ := lanes([]byte(text))
		var b strings.Builder
		for _, s := range raw {
			b.WriteByte(s.c)
		}
		texts[i] = strings.ToLower(b.String())
	}
	return texts
}

func FuzzMatcher(f *testing.F) {
	for _, spelled := range []string{
		fuzzed, reverse(fuzzed), hex.EncodeToString([]byte(fuzzed)), everyByte("%%25%02x", fuzzed),
		everyByte(`\u00%02X`, fuzzed), everyByte(`\\x%02X`, fuzzed), base64.URLEncoding.EncodeToString([]byte("?" + fuzzed)),
		inLines(fuzzed, 3, `\n`), fuzzed[:25] + "%2" + fuzzed[20:] + `\`, strings.Repeat(" ", 17000) + fuzzed,
	} {
		f.Add([]byte(`{"a":"`+spelled+`"}`), uint16(3))
		f.Add([]byte(`\`+spelled+`%`), uint16(4000))
	}
	set, unusable, err := needles.Compile([]secret.Value{secret.New("S", fuzzed)}, needles.Options{})
	if err != nil || len(unusable) > 0 {
		f.Fatal(err, unusable)
	}
	texts := textsOf(fuzzed)
	f.Fuzz(func(t *testing.T, stream []byte, size uint16) {
		want := covered(stream, texts)
		got := make([]bool, len(stream))
		m := set.Stream()
		mark := func(matches []needles.Match) {
			for _, match := range matches {
				for i := match.Start; i < match.End; i++ {
					got[i] = true
				}
			}
		}
		for p := stream; len(p) > 0; p = p[min(len(p), 1+int(size)):] {
			mark(m.Write(p[:min(len(p), 1+int(size))]))
			if held := m.Safe(); held < 0 || held > len(stream)-len(p)+1+int(size) {
				t.Fatalf("%d bytes are held", held)
			}
		}
		mark(m.Close())
		for i := range want {
			if want[i] != got[i] {
				t.Fatalf("byte %d of %q in chunks of %d: found %v, want %v", i, stream, 1+int(size), got[i], want[i])
			}
		}
	})
}

// fuzzed is the secret of FuzzMatcher; its forms have windows only.
const fuzzed = "Q7vX2mZr9LpW4kT8bN1cYd6HsJ3fGa5eUoKi"
