// Package scan looks for secrets in what is about to leave the host: by gitleaks'
// rules, and for the values of a run's own secrets in the forms that they are usually
// copied in.
//
// It promises that no path, name or comment makes it look away, that no finding shows
// more of a secret than its first characters, and that it either looked at all of its
// input or says that it didn't.
//
// It does not promise that a secret in a form it doesn't know is found: compressed,
// encrypted, cut into pieces.
package scan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/logging"

	"github.com/bot-bottle/action/internal/dlp/needles"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/secret"
)

// Finding is a secret that was found. Nothing of it that can be read or printed is the
// secret itself.
type Finding struct {
	Detector    string // "gitleaks" or "known-secret"
	Rule        string // gitleaks' id of the rule, or the name of the known secret
	Description string
	Line        int    // from 1
	Begins      string // the first characters of what was found, and an ellipsis
	Allowed     bool   // a comment asks gitleaks to overlook it, which this scanner does not

	secret string // for Mask alone
}

// Format prints no more of a finding than its exported fields.
func (f Finding) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "{%s %s line %d %s}", f.Detector, f.Rule, f.Line, f.Begins)
}

// Sum tells whether two findings are of the same secret, without a word of it.
func (f Finding) Sum() [sha256.Size]byte { return sha256.Sum256([]byte(f.secret)) }

// Detectors.
const (
	Gitleaks = "gitleaks"
	Known    = "known-secret"
)

// Scanner scans. It is safe for concurrent use.
type Scanner struct {
	gitleaks *detect.Detector
	known    *needles.Set
}

// quiet silences gitleaks, which would print what it sees.
var quiet = sync.OnceFunc(func() { logging.Logger = zerolog.Nop() })

// loading keeps gitleaks' reading of its rules, which goes through a global of its
// own, from running twice at once.
var loading sync.Mutex

// decodings is how often what is encoded (base64, hex, percent) is decoded and looked
// at again.
const decodings = 3

// New gives a scanner with gitleaks' default rules that knows the values of known.
// Loading the rules takes some 30 ms.
func New(known []secret.Value) (*Scanner, error) {
	quiet()
	loading.Lock()
	defer loading.Unlock()
	d, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		return nil, fmt.Errorf("loading gitleaks' rules: %w", err)
	}
	d.IgnoreGitleaksAllow = true
	d.MaxDecodeDepth = decodings
	d.Config.Allowlists = withoutPaths(d.Config.Allowlists)
	for id, rule := range d.Config.Rules {
		rule.Allowlists = withoutPaths(rule.Allowlists)
		d.Config.Rules[id] = rule
	}
	set, _, err := needles.Compile(known, needles.Options{}) // the egress door tells which can't be looked for
	if err != nil {
		return nil, fmt.Errorf("reading the secrets to look for: %w", err)
	}
	return &Scanner{gitleaks: d, known: set}, nil
}

// withoutPaths takes from each list what a name decides: who writes the file names it.
func withoutPaths(lists []*config.Allowlist) []*config.Allowlist {
	var kept []*config.Allowlist
	for _, list := range lists {
		if len(list.Paths)+len(list.Commits) == 0 {
			kept = append(kept, list)
			continue
		}
		narrowed := config.Allowlist{
			Description: list.Description, MatchCondition: list.MatchCondition, RegexTarget: list.RegexTarget, Regexes: list.Regexes, StopWords: list.StopWords,
		}
		if list.MatchCondition == config.AllowlistMatchAnd || len(list.Regexes)+len(list.StopWords) == 0 || narrowed.Validate() != nil {
			continue
		}
		kept = append(kept, &narrowed)
	}
	return kept
}

// Sizes of the pieces that are scanned: gitleaks' time grows faster than its input
// (80 s for 10 MB of random text in one piece), and what it looks for is far shorter
// than what two pieces share.
const (
	pieceBytes  = 128 << 10
	sharedBytes = 16 << 10
)

// maxFindings is how many are told; one is enough to refuse.
const maxFindings = 20

// Scan reads r to its end and gives what it found. path, where it is known, chooses
// rules that are for certain files; it never leaves any out. The error says that r
// could not be scanned whole, also if ctx ended.
func (s *Scanner) Scan(ctx context.Context, path string, r io.Reader) ([]Finding, error) {
	l := &look{s: s, path: path, known: s.known.Stream(), line: 1}
	piece := make([]byte, 0, pieceBytes)
	for {
		before := len(piece)
		n, err := io.ReadFull(r, piece[before:pieceBytes])
		piece = piece[:before+n]
		over := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !over {
			return l.found, fmt.Errorf("reading what is to be scanned: %w", err)
		}
		l.piece(ctx, piece, n, over)
		if err := context.Cause(ctx); err != nil {
			return l.found, fmt.Errorf("scanning: %w", err)
		}
		if over || len(l.found) >= maxFindings {
			return l.found, nil
		}
		done := len(piece) - sharedBytes
		l.line += bytes.Count(piece[:done], []byte{'\n'})
		piece = piece[:copy(piece, piece[done:])]
	}
}

// Text is Scan for a short text.
func (s *Scanner) Text(ctx context.Context, text string) ([]Finding, error) {
	if len(text) > pieceBytes {
		return s.Scan(ctx, "", strings.NewReader(text))
	}
	if text == "" {
		return nil, nil
	}
	l := &look{s: s, known: s.known.Stream(), line: 1}
	l.piece(ctx, []byte(text), len(text), true)
	if err := context.Cause(ctx); err != nil {
		return l.found, fmt.Errorf("scanning: %w", err)
	}
	return l.found, nil
}

// Mask gives text with each secret of the findings made unreadable by mask, which
// changes its bytes in their place. Findings are of Text or Scan of the same text; what
// was found in an encoding stays.
func (s *Scanner) Mask(text []byte, found []Finding, mask func([]byte)) []byte {
	text = bytes.Clone(text)
	for _, f := range found {
		for from := 0; f.secret != ""; {
			at := bytes.Index(text[from:], []byte(f.secret))
			if at < 0 {
				break
			}
			mask(text[from+at : from+at+len(f.secret)])
			from += at + len(f.secret)
		}
	}
	return text
}

// merge adds what is not there yet: the shared part of two pieces is seen twice.
func merge(all, more []Finding) []Finding {
	for _, f := range more {
		known := false
		for _, g := range all {
			known = known || g == f
		}
		if !known {
			all = append(all, f)
		}
	}
	return all
}

// look is one text that is looked at, piece by piece.
type look struct {
	s     *Scanner
	path  string
	known *needles.Matcher
	at    int64 // bytes seen
	line  int   // in which the piece begins
	found []Finding
}

// piece scans one piece, of which the last bytes are fresh: as it is, and by gitleaks,
// where it has NUL bytes, without them, for text is often stored with one behind each
// character.
func (l *look) piece(ctx context.Context, piece []byte, fresh int, last bool) {
	l.secrets(piece, fresh, last)
	l.found = merge(l.found, l.s.rules(ctx, l.path, string(piece), l.line))
	if bytes.IndexByte(piece, 0) >= 0 {
		l.found = merge(l.found, l.s.rules(ctx, l.path, string(bytes.ReplaceAll(piece, []byte{0}, nil)), l.line))
	}
}

// secrets looks for the run's own.
func (l *look) secrets(piece []byte, fresh int, last bool) {
	l.at += int64(fresh)
	matches := l.known.Write(piece[len(piece)-fresh:])
	if last {
		matches = append(matches, l.known.Close()...)
	}
	for _, m := range needles.Merge(matches) {
		begin := max(0, m.Start-(l.at-int64(len(piece))))
		l.found = merge(l.found, []Finding{{
			Detector: Known, Rule: m.Name, Description: "a secret of this run, in the form " + string(m.Form),
			Line: l.line + bytes.Count(piece[:begin], []byte{'\n'}), Begins: "…",
		}})
	}
}

func (s *Scanner) rules(ctx context.Context, path, text string, line int) []Finding {
	var found []Finding
	//lint:ignore SA1019 it is what this version's method takes
	piece := detect.Fragment{Raw: text, FilePath: path}
	for _, f := range s.gitleaks.DetectContext(ctx, piece) {
		found = append(found, Finding{
			Detector: Gitleaks, Rule: f.RuleID, Description: f.Description, Line: line + f.StartLine,
			Begins: begins(f.Secret), Allowed: strings.Contains(f.Line, "gitleaks:allow"), secret: f.Secret,
		})
	}
	return found
}

// shown is how many characters of a secret are told, of one that is long enough to
// stay one.
const (
	shown     = 3
	minSecret = 16
)

func begins(value string) string {
	if len(value) < minSecret || !utf8.ValidString(value) {
		return "…"
	}
	runes := []rune(neutralize.Text(value))
	return string(runes[:min(shown, len(runes))]) + "…"
}
