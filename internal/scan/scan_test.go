package scan

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/bot-bottle/action/internal/secret"
)

// token is of a form that gitleaks knows, made here so that no scanner of this
// repository finds it.
func token() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := []byte("ghp" + "_")
	for range 36 {
		b = append(b, letters[mathrand.IntN(len(letters))])
	}
	return string(b)
}

func scanner(t testing.TB, known ...secret.Value) *Scanner {
	t.Helper()
	s, err := New(known)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func text(t testing.TB, s *Scanner, path, content string) []Finding {
	t.Helper()
	found, err := s.Scan(t.Context(), path, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestATokenIsFoundWhateverTheFileIsCalled(t *testing.T) {
	s, value := scanner(t), token()
	for _, path := range []string{"", "main.go", "logo.png", "go.sum", "package-lock.json", "node_modules/x/y.js", ".gitleaks.toml", "vendor/a.go", "x.pdf", "gitleaks.toml", "a.min.js"} {
		found := text(t, s, path, "one\ntwo\nkey = \""+value+"\"\n")
		if len(found) == 0 || found[0].Rule != "github-pat" || found[0].Detector != Gitleaks || found[0].Line != 3 {
			t.Errorf("%q: %+v", path, found)
		}
		if strings.Contains(fmt.Sprintf("%+v", found), value[8:]) {
			t.Errorf("the finding holds the secret: %+v", found)
		}
	}
}

func TestACommentDoesNotMakeItLookAway(t *testing.T) {
	s, value := scanner(t), token()
	if found := text(t, s, "", "x = \""+value+"\" # gitleaks:allow\n"); len(found) != 1 || !found[0].Allowed {
		t.Errorf("got %+v", found)
	}
}

func TestATokenIsFoundWhereverItStands(t *testing.T) {
	s, value := scanner(t), token()
	filler := strings.Repeat("int main(void) { return 0; }\n", pieceBytes/10)
	for _, at := range []int{0, 100, pieceBytes - 20, pieceBytes - sharedBytes - 10, pieceBytes, 2*pieceBytes - sharedBytes - 5} {
		content := filler[:at] + "\n" + value + "\n" + filler[at:]
		found := text(t, s, "", content)
		if want := strings.Count(content[:at], "\n") + 2; len(found) != 1 || found[0].Line != want {
			t.Errorf("at %d: %+v instead of line %d", at, found, want)
		}
	}
}

func TestATokenIsFoundInOtherForms(t *testing.T) {
	s, value := scanner(t), "key = \""+token()+"\"\n"
	wide := make([]byte, 0, 2*len(value))
	for _, u := range utf16.Encode([]rune(value)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for form, content := range map[string]string{
		"base64": base64.StdEncoding.EncodeToString([]byte(value)), "base64 twice": base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(value)))),
		"UTF-16": string(wide), "hex": hex.EncodeToString([]byte(value)), "binary": "\x00\x01\x02\xff" + value + "\xfe\x00",
	} {
		if found := text(t, s, "", "x\n"+content+"\n"); len(found) == 0 {
			t.Errorf("%s: not found", form)
		}
	}
}

func TestAKnownSecretIsFoundInEachForm(t *testing.T) {
	const value = "correct horse/battery+staple?"
	s := scanner(t, secret.New("THE_TOKEN", value), secret.New("short", "abc"), secret.New("empty", ""))
	wrapped := base64.StdEncoding.EncodeToString([]byte("user:" + value))
	wrapped = wrapped[:11] + "\n" + wrapped[11:]
	for form, content := range map[string]string{
		"plain": value, "hex": hex.EncodeToString([]byte(value)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(value))),
		"query": url.QueryEscape(value), "path": url.PathEscape(value), "wrapped": wrapped,
		"base64+0": base64.StdEncoding.EncodeToString([]byte("abc" + value + "xyz")), "base64+1": base64.StdEncoding.EncodeToString([]byte("a" + value + "x")),
		"base64+2": base64.StdEncoding.EncodeToString([]byte("ab" + value)), "base64url": base64.URLEncoding.EncodeToString([]byte("?>" + value)),
		"spaced out": strings.Join(strings.Split(value, ""), "\x00"),
	} {
		found := text(t, s, "", "first\nsome "+content+" more")
		if len(found) == 0 || found[0].Detector != Known || found[0].Rule != "THE_TOKEN" || strings.Contains(fmt.Sprint(found), value) {
			t.Errorf("%s: %+v", form, found)
		}
	}
	if found := text(t, s, "", "abc is short, and horse staple correct battery is none"); len(found) != 0 {
		t.Errorf("got %+v", found)
	}
}

// The beginning is in one piece, the end in the next.
func TestAKnownSecretIsFoundAcrossPiecesWithItsLine(t *testing.T) {
	value := rand.Text()
	s := scanner(t, secret.New("THE_TOKEN", value))
	for _, behind := range []int{0, pieceBytes - 40, pieceBytes - 20, pieceBytes - 3, 3*pieceBytes - 5} {
		words := strings.Repeat("words\n", behind/6)
		found, err := s.Scan(t.Context(), "", strings.NewReader(words+value+"\nmore"))
		if want := strings.Count(words, "\n") + 1; err != nil || len(found) != 1 || found[0].Line != want {
			t.Errorf("behind %d bytes: %v, %v, want line %d", len(words), found, err, want)
		}
	}
}

func TestEachLineOfAKeyIsASecret(t *testing.T) {
	body := rand.Text() + rand.Text()
	s := scanner(t, secret.New("key", "-----BEGIN OPENSSH PRIVATE KEY-----\n"+body+"\n-----END OPENSSH PRIVATE KEY-----\n"))
	if found := text(t, s, "", "x "+body+" y"); len(found) == 0 || found[0].Detector != Known {
		t.Errorf("got %+v", found)
	}
	if found := text(t, s, "", "-----BEGIN OPENSSH PRIVATE KEY-----"); len(found) != 0 {
		t.Errorf("the words around a key are none: %+v", found)
	}
}

func TestOrdinaryTextHasNoSecrets(t *testing.T) {
	s := scanner(t, secret.New("t", "correct horse"))
	for _, content := range []string{"", "\n", "package main\n\nfunc main() { println(\"hello\") }\n", strings.Repeat("lorem ipsum ", 50000)} {
		if found := text(t, s, "main.go", content); len(found) != 0 {
			t.Errorf("got %+v", found)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

func TestWhatCouldNotBeScannedWholeIsAnError(t *testing.T) {
	s := scanner(t)
	if _, err := s.Scan(t.Context(), "", broken{}); err == nil {
		t.Error("no error of a broken reader")
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("it took too long"))
	defer cancel()
	noise := make([]byte, 24<<20)
	for i := range noise {
		noise[i] = "abcdefghijklmnopqrstuvwxyz0123456789\n"[mathrand.IntN(37)]
	}
	begun := time.Now()
	if _, err := s.Scan(ctx, "", strings.NewReader(string(noise))); err == nil || !strings.Contains(err.Error(), "took too long") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v to notice", took)
	}
}

func BenchmarkScanSource(b *testing.B) {
	s := scanner(b)
	line := "func (s *Scanner) piece(ctx context.Context, path string, piece []byte, line int) []Finding { return nil } // key = value\n"
	content := strings.Repeat(line, 1<<20/len(line))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		text(b, s, "x.go", content)
	}
}
