package runner

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/scan"
	"github.com/bot-bottle/action/internal/secret"
)

// pat is a token of a form that gitleaks knows, made at run time.
func pat() string {
	b := []byte("ghp" + "_")
	for range 36 {
		b = append(b, "abcdefghijklmnopqrstuvwxyz0123456789"[mathrand.IntN(36)])
	}
	return string(b)
}

// logged is what a job's log gets of pieces.
func logged(t *testing.T, known []secret.Value, pieces ...string) string {
	t.Helper()
	scanner, err := scan.New(known)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	w := newWithholding(&log, scanner)
	for _, p := range pieces {
		if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	w.Close()
	return log.String()
}

func TestAJobsLogHasAllButSecrets(t *testing.T) {
	token, value := pat(), rand.Text()
	known := []secret.Value{secret.New("THE_TOKEN", value)}
	key := "-----BEGIN OPENSSH " + "PRIVATE KEY-----\n" + strings.Repeat(strings.Repeat("A", 70)+"\n", 8) + "-----END OPENSSH " + "PRIVATE KEY-----\n"
	half := len(token) / 2
	for name, c := range map[string]struct {
		pieces      []string
		shown, gone []string
	}{
		"plain text":         {[]string{"one\ntwo", " and\nthree"}, []string{"one\ntwo and\nthree"}, nil},
		"a token":            {[]string{"before\nx = " + token + "\nafter\n"}, []string{"before\n[bot-bottle: ", "github-pat", "]\nafter\n"}, []string{token}},
		"a token in pieces":  {[]string{"x = " + token[:half], token[half:] + " y\n", "after"}, []string{"withheld", "after"}, []string{token[half:], token[:half]}},
		"a coloured token":   {[]string{"x = " + token[:half] + "\x1b[31m" + token[half:] + "\x1b[0m\n"}, []string{"withheld"}, []string{token[half:]}},
		"a known secret":     {[]string{"it is " + value}, []string{"withheld", "THE_TOKEN"}, []string{value}},
		"a key in pieces":    {strings.SplitAfter("before\n"+key+"after\n", "\n"), []string{"before\n", "after\n"}, []string{"AAAA"}},
		"a key in one piece": {[]string{"before\n" + key + "after\n"}, []string{"before\n", "after\n"}, []string{"AAAA"}},
		"a long line":        {[]string{strings.Repeat("x ", maxScannedLine), "end " + token + " of it\n", "after\n"}, []string{"x x x", "after\n"}, []string{token}},
		"a token over a cut": {[]string{strings.Repeat("x ", maxScannedLine/2) + " " + token[:half], token[half:] + "\n"}, []string{"withheld"}, []string{token, token[half:]}},
	} {
		got := logged(t, known, c.pieces...)
		for _, words := range c.shown {
			if !strings.Contains(got, words) {
				t.Errorf("%s: %q is missing: %.300q", name, words, got)
			}
		}
		for _, words := range c.gone {
			if strings.Contains(got, words) {
				t.Errorf("%s: %q is in the log: %.300q", name, words, got)
			}
		}
	}
}

func TestTooMuchToLookAtIsWithheld(t *testing.T) {
	scanner, err := scan.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	w := newWithholding(&log, scanner)
	w.left = 1
	fmt.Fprintln(w, "one")
	fmt.Fprintln(w, "two")
	w.Close()
	if got := log.String(); strings.Contains(got, "one\n") || strings.Contains(got, "two\n") || strings.Count(got, "withheld") != 2 {
		t.Errorf("got %q", got)
	}
}

func TestAPatchWithASecretIsHandedToNobody(t *testing.T) {
	r := &run{plan: Plan{Policy: policy.Policy{}}}
	for text, secretFound := range map[string]bool{"+x = " + pat() + "\n": true, "+x = 1\n": false} {
		path := filepath.Join(t.TempDir(), "changes.patch")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var changes report.Changes
		if err := r.scanPatch(t.Context(), path, &changes); err != nil || (changes.Withheld != "") != secretFound {
			t.Errorf("%q: %+v, %v", text, changes, err)
		}
	}
}
