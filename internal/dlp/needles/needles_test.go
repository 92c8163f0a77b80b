package needles_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/dlp/needles"
	"github.com/bot-bottle/action/internal/secret"
)

// Secrets of the tests: a long token, a password of ten, one that has hardly any
// letters, one with escapes of its own, and one with letters that are not ASCII's.
const (
	token    = "tk-Q7vX2mZr9LpW4kT8bN1cYd6HsJ3fGa5eUoKi"
	password = "Vb7!kq29Xz"
	signs    = `$#/"%@ä!7*`
	escapes  = `zq%41\n7Rb2`
	umlauts  = "zäöüßé9§"
)

func compile(t testing.TB, o needles.Options, values ...string) *needles.Set {
	t.Helper()
	var list []secret.Value
	for i, v := range values {
		list = append(list, secret.New(fmt.Sprintf("S%d", i), v))
	}
	set, unusable, err := needles.Compile(list, o)
	if err != nil || len(unusable) > 0 {
		t.Fatal(err, unusable)
	}
	return set
}

// all gives the matches of a stream that comes in the chunks.
func all(set *needles.Set, chunks ...[]byte) []needles.Match {
	m := set.Stream()
	var list []needles.Match
	for _, c := range chunks {
		list = append(list, m.Write(c)...)
	}
	return needles.Merge(append(list, m.Close()...))
}

func everyByte(format, s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func asciiJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String()
}

func reverse(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func inLines(s string, n int, end string) string {
	var lines []string
	for part := range slices.Chunk([]byte(s), n) {
		lines = append(lines, string(part))
	}
	return strings.Join(lines, end)
}

func TestEachFormOfEachKindOfSecretIsFound(t *testing.T) {
	spellings := map[string]func(s string) string{
		"plain":                   func(s string) string { return s },
		"reversed":                reverse,
		"hex":                     func(s string) string { return hex.EncodeToString([]byte(s)) },
		"hex upper":               func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"hex mixed":               func(s string) string { return everyByte("%X", s[:4]) + everyByte("%x", s[4:]) },
		"hex colons":              func(s string) string { return everyByte("%02x:", s) },
		"hex dump":                func(s string) string { return inLines(everyByte("%02X ", s), 12, "\n") },
		"\\x":                     func(s string) string { return everyByte(`\x%02x`, s) },
		"base64 0":                func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 1":                func(s string) string { return base64.StdEncoding.EncodeToString([]byte("x" + s + "tail")) },
		"base64 2":                func(s string) string { return base64.StdEncoding.EncodeToString([]byte("xy" + s + "ta")) },
		"base64 url 0":            func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"base64 url 1":            func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("?" + s)) },
		"base64 url 2":            func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("??" + s)) },
		"query":                   url.QueryEscape,
		"path":                    url.PathEscape,
		"percent all":             func(s string) string { return everyByte("%%%02X", s) },
		"percent all lower":       func(s string) string { return everyByte("%%%02x", s) },
		"percent twice":           func(s string) string { return url.QueryEscape(everyByte("%%%02X", s)) },
		"percent one":             func(s string) string { return fmt.Sprintf("%%%02x", s[0]) + url.QueryEscape(s[1:]) },
		"json":                    func(s string) string { return jsonOf(t, s) },
		"json of all":             asciiJSON,
		"json in json":            func(s string) string { return jsonOf(t, `{"a":`+jsonOf(t, s)+`}`) },
		"json of all in json":     func(s string) string { return jsonOf(t, asciiJSON(s)) },
		"json slashes":            func(s string) string { return strings.ReplaceAll(jsonOf(t, s), "/", `\/`) },
		"percent of base64":       func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) },
		"percent of all of hex":   func(s string) string { return everyByte("%%%02x", hex.EncodeToString([]byte(s))) },
		"reversed in percent":     func(s string) string { return everyByte("%%%02X", reverse(s)) },
		"after a lone percent":    func(s string) string { return "%" + s },
		"after a lone backslash":  func(s string) string { return `\` + s },
		"after a cut-off escape":  func(s string) string { return `\u00` + s },
		"before a cut-off escape": func(s string) string { return everyByte("%%%02X", s) + "%4" },
	}
	wrapped := map[string]func(s string) string{ // what has letters and digits enough
		"lines":        func(s string) string { return inLines(s, 3, "\r\n") },
		"json lines":   func(s string) string { return jsonOf(t, inLines(s, 3, "\n")) },
		"spaces":       func(s string) string { return inLines(s, 1, " ") },
		"base64 lines": func(s string) string { return inLines(base64.StdEncoding.EncodeToString([]byte(s)), 5, "\r\n") },
		"base64 json": func(s string) string {
			return jsonOf(t, inLines(base64.StdEncoding.EncodeToString([]byte(s)), 5, "\n"))
		},
	}
	for _, value := range []string{token, password, signs, escapes, umlauts} {
		set := compile(t, needles.Options{}, value)
		check := func(name, text string) {
			for _, stream := range []string{text, "before " + text + " after", strings.Repeat("é{\"\x00}, ", 3000) + "(" + text + ")"} {
				if found := all(set, []byte(stream)); len(found) == 0 {
					t.Errorf("%q as %s is not found: %.100q", value, name, text)
				}
			}
		}
		for name, spell := range spellings {
			check(name, spell(value))
		}
		if value == token || value == password {
			for name, spell := range wrapped {
				check(name, spell(value))
			}
		}
	}
}

func TestMatchSaysFormAndPlace(t *testing.T) {
	set := compile(t, needles.Options{}, token, password, signs)
	for _, c := range []struct {
		name string
		form needles.Form
		text string
	}{
		{"S0", needles.Plain, token},
		{"S0", needles.Reversed, reverse(token)},
		{"S0", needles.Hex, strings.ToUpper(hex.EncodeToString([]byte(token)))},
		{"S0", needles.Base64, base64.RawStdEncoding.EncodeToString([]byte(token[:36]))},
		{"S0", needles.Escaped, everyByte("%%%02x", token)},
		{"S1", needles.Plain, password},
		{"S1", needles.Hex, hex.EncodeToString([]byte(password))},
		{"S1", needles.Escaped, asciiJSON(password)},
		{"S2", needles.Plain, signs},
		{"S2", needles.Escaped, everyByte("%%%02x", signs)},
	} {
		before := strings.Repeat(". ", 5000)
		found := all(set, []byte(before+c.text+" ."))
		want := needles.Match{Name: c.name, Form: c.form, Start: int64(len(before)), End: int64(len(before + c.text))}
		if !slices.Contains(found, want) {
			t.Errorf("%q: %v, want %v", c.text, found, want)
		}
	}
}

func TestPiecesOfALongSecretAreFound(t *testing.T) {
	set := compile(t, needles.Options{}, token)
	dense := strings.ReplaceAll(token, "-", "")
	for i := 0; i+needles.Window <= len(dense); i++ {
		piece := dense[i : i+needles.Window]
		if len(all(set, []byte("#"+piece+"#"))) != 1 || len(all(set, []byte(strings.ToUpper(inLines(piece, 4, "_"))))) != 1 {
			t.Errorf("the piece at %d is not found", i)
		}
		if found := all(set, []byte("#"+piece[1:]+"#")); len(found) != 0 {
			t.Errorf("what is one shorter than a window is found: %v", found)
		}
	}
}

func TestWhatIsNoSecretIsNotFound(t *testing.T) {
	jwt := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI4MTcyNjM1NCJ9.s5XkQm2vTfZr8LpWa1Yb3CdNeJ6hGuKi"
	line := "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\nQyNTUxOQAAACB"
	key := "-----BEGIN OPENSSH PRIVATE KEY-----\n" + line +
		"PUBLICpublicPUBLICpublicPUBLICpublicABCDEFGH\nAAAAJq8vXkT2mZr9LpW4kT8bN1cYd6HsJ3fGa5eUoKi\n-----END OPENSSH PRIVATE KEY-----\n"
	set := compile(t, needles.Options{Public: []string{"PUBLICpublicPUBLICpublicPUBLICpublicABCDEFGH"}}, jwt, key)
	for _, text := range []string{
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIwMDAwMDAwMCJ9",
		"-----BEGIN OPENSSH PRIVATE KEY-----\n" + line,
		"ssh-ed25519 PUBLICpublicPUBLICpublicPUBLICpublicABCDEFGH",
		strings.Repeat("A", 1000), strings.Repeat("00", 1000),
	} {
		if found := all(set, []byte(text)); len(found) != 0 {
			t.Errorf("%q: %v", text, found)
		}
	}
	for _, text := range []string{jwt, key, "q8vXkT2mZr9LpW4kT8bN1cYd6HsJ3fGa5eUoKi", "s5XkQm2vTfZr8LpWa1Yb3CdNeJ6hGuKi"} {
		if found := all(set, []byte(text)); len(found) == 0 {
			t.Errorf("%q is not found", text)
		}
	}
}

func TestZerosInAKeyAreNotTheSecret(t *testing.T) {
	set := compile(t, needles.Options{}, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"+token)
	if found := all(set, []byte(strings.Repeat("A", 500))); len(found) != 0 {
		t.Error(found)
	}
	if found := all(set, []byte(token)); len(found) != 1 {
		t.Error(found)
	}
}

func TestASecretOfFewCharactersIsFoundInFull(t *testing.T) {
	value := "abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd"
	set := compile(t, needles.Options{}, value)
	if found := all(set, []byte("x "+value[:60]), []byte(value[60:]+" x")); len(found) == 0 {
		t.Error("not found")
	}
	if found := all(set, []byte(value[4:])); len(found) != 0 {
		t.Error(found)
	}
}

func TestUnusableSecretsAreToldWithTheReason(t *testing.T) {
	for value, reason := range map[string]string{
		"":                                       "empty",
		"ab":                                     "2 bytes",
		"12345":                                  "5 bytes",
		"Password":                               "common word",
		"change-me":                              "common word",
		"secret123":                              "common word",
		"xxxxxxxxxx":                             "different",
		"20261124":                               "short number",
		strings.Repeat(token, 30000):             "only its first 65536 bytes",
		"-----BEGIN KEY-----\n-----END KEY-----": "public",
		"HOST=a.example.org port 5432 user\nab\n" + password: "",
	} {
		_, unusable, err := needles.Compile([]secret.Value{secret.New("NAME", value)}, needles.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if reason == "" && len(unusable) == 0 {
			continue
		}
		if len(unusable) != 1 || unusable[0].Name != "NAME" || reason == "" || !strings.Contains(unusable[0].Reason, reason) {
			t.Errorf("%.40q: %v, want %q", value, unusable, reason)
		}
		if text := fmt.Sprint(unusable); len(value) > 4 && strings.Contains(text, value[:min(len(value), 12)]) {
			t.Errorf("%q tells the secret", text)
		}
	}
}

func TestANamelessSecretIsAnError(t *testing.T) {
	if _, _, err := needles.Compile([]secret.Value{secret.New("", token)}, needles.Options{}); err == nil || strings.Contains(err.Error(), token) {
		t.Error(err)
	}
}

func TestEachLineOfASecretIsLookedForAlone(t *testing.T) {
	set := compile(t, needles.Options{}, "user=somebodyXY12\npass="+password+"\n"+token)
	for _, text := range []string{"pass=" + password, token, "user=somebodyXY12", base64.StdEncoding.EncodeToString([]byte("pass=" + password))} {
		if len(all(set, []byte(text))) == 0 {
			t.Errorf("%q is not found", text)
		}
	}
}

func TestNothingPrintedHoldsASecret(t *testing.T) {
	found := all(compile(t, needles.Options{}, token, password), []byte(token+" "+password))
	if len(found) != 2 {
		t.Fatal(found)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, found); strings.Contains(text, token[3:9]) || strings.Contains(text, password[:4]) {
			t.Errorf("%s tells it: %s", verb, text)
		}
	}
}

func TestASecretThatThereIsNotIsNoFault(t *testing.T) {
	if _, unusable, err := needles.Compile([]secret.Value{{}}, needles.Options{}); err != nil || len(unusable) != 0 {
		t.Errorf("got %v, %v", unusable, err)
	}
}
