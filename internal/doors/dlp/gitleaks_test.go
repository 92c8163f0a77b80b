package dlp

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/zricethezav/gitleaks/v8/detect"

	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/gitleakstest"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/scan"
)

// finders are the ways in which a text is looked at by gitleaks' rules.
func finders(t *testing.T) map[string]func(string) bool {
	s := scanner(t)
	pushes, err := scan.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(err error) bool { return err != nil && ruleOf(t, err) == RulePattern }
	return map[string]func(string) bool{
		"body": func(text string) bool {
			_, err := sent(s, route(onMatch(policy.OnMatchBlock)), request(t, "https://listed.example/"), text, cuts["whole"])
			return refused(err)
		},
		"body in halves": func(text string) bool {
			_, err := sent(s, route(onMatch(policy.OnMatchBlock)), request(t, "https://listed.example/"), text, halves(len(text)))
			return refused(err)
		},
		"conversation": func(text string) bool {
			_, err := s.Whole(route(onMatch(policy.OnMatchBlock)), []byte(text))
			return refused(err)
		},
		"push": func(text string) bool {
			found, err := pushes.Text(context.Background(), text)
			return err == nil && len(found) > 0
		},
	}
}

// halves has a stream come in two reads.
func halves(n int) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader {
		return io.MultiReader(iotest.DataErrReader(io.LimitReader(r, int64(n/2))), r)
	}
}

// TestWhatGitleaksFindsIsFound compares with gitleaks as it comes, over its own samples
// and over texts like those that agents send. docs/dlp.md has the table.
func TestWhatGitleaksFindsIsFound(t *testing.T) {
	alone, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	samples := gitleakstest.Samples(t)
	every, documents := 1, 100
	if testing.Short() {
		every, documents = 50, 6
	}
	corpora := gitleakstest.Corpora(samples, documents, 1)
	for i := 0; i < len(samples); i += every {
		corpora["samples"] = append(corpora["samples"], gitleakstest.Document{Text: samples[i].Text, Rule: samples[i].Rule})
	}
	for _, name := range slices.Sorted(maps.Keys(corpora)) {
		theirs, bytes := map[string]bool{}, 0
		for _, d := range corpora[name] {
			bytes += len(d.Text)
			if len(alone.DetectString(d.Text)) > 0 {
				theirs[d.Text] = true
			}
		}
		t.Logf("%s: %d texts, %d bytes: gitleaks finds %d", name, len(corpora[name]), bytes, len(theirs))
		if len(corpora[name]) >= 100 && len(theirs) < len(corpora[name])/10 {
			t.Errorf("%s: gitleaks finds too few for a comparison", name)
		}
		for how, finds := range finders(t) {
			missed, more, start := 0, 0, time.Now()
			for _, d := range corpora[name] {
				switch ours := finds(d.Text); {
				case theirs[d.Text] && !ours:
					missed++
					t.Errorf("%s, %s: rule %s was not found in %q", name, how, d.Rule, around(d.Text))
				case ours && !theirs[d.Text]:
					more++
				}
			}
			t.Logf("%s, %s: missed %d, found %d more, %.1f MB/s", name, how, missed, more, float64(bytes)/1e6/time.Since(start).Seconds())
		}
	}
}

func around(text string) string { return strings.ToValidUTF8(text[:min(len(text), 200)], "?") }

var _ egress.Scanner = (*Scanner)(nil)
