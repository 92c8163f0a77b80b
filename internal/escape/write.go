package escape

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/atomicfile"
	"github.com/bot-bottle/action/internal/term"
)

// Write writes the report into dir in its three forms: escape.json, escape.md and
// escape.xml (JUnit). The folder is made if somebody has removed it.
func (r Report) Write(dir string) error {
	var junit strings.Builder
	asJSON, err := json.MarshalIndent(r, "", "  ")
	if err := errors.Join(err, r.JUnit(&junit)); err != nil {
		return term.Errorf(term.StagePost, dir, "writing the suite's report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return term.Errorf(term.StagePost, dir, "making the report's folder: %w", err)
	}
	for name, text := range map[string]string{"escape.json": string(asJSON) + "\n", "escape.md": r.Markdown(), "escape.xml": junit.String()} {
		if err := atomicfile.Write(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return term.Errorf(term.StagePost, dir, "writing the suite's report: %w", fmt.Errorf("%s: %w", name, err))
		}
	}
	return nil
}

// maxBrief is how many cases a brief names.
const maxBrief = 40

// Brief gives the report as Markdown for a place that others read: which cases did
// not hold and what should have held them, without what was seen on this host.
func (r Report) Brief() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.counts())
	told := 0
	for _, c := range r.Cases {
		if !c.Verdict.ran() || c.Verdict.passes() || c.Verdict == NotApplicable {
			continue
		}
		if told++; told <= maxBrief {
			fmt.Fprintf(&b, "\n- **%s** %s: %s; %s should have held it", c.Verdict, c.ID, c.Title, c.Layer)
		}
	}
	if told > maxBrief {
		fmt.Fprintf(&b, "\n- and %d more", told-maxBrief)
	}
	if told > 0 {
		b.WriteString("\n")
	}
	return b.String()
}
