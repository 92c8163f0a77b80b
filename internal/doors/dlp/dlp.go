package dlp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/action/internal/dlp/needles"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/scan"
	"github.com/bot-bottle/action/internal/secret"
)

// Rules by which a request is refused; they stand in decision lines.
const (
	RuleKnown    = "dlp-known-secret" // a secret of the run
	RulePattern  = "dlp-pattern"      // what gitleaks takes for one
	RuleEncoding = "dlp-encoding"     // it can't be looked into
	RuleBroken   = "dlp-broken"       // it could not be looked at to the end

	RuleInjection = "dlp-injection" // an answer, or a warning of one: it speaks to an agent
	RuleToken     = "dlp-token"     // an answer that holds the door's token where it can't be masked
	RuleEntropy   = "dlp-entropy"   // a warning: something looks random
)

// Lead is how many letters and digits, which may be the beginning of a secret, a stream
// passes on before more of them come. With none, most messages would wait for the next.
const Lead = 8

// Options say what is looked for.
type Options struct {
	Known  []secret.Value // that no request may hold
	Tokens []secret.Value // that the door adds, and no answer may show
	Ask    Asker          // for routes that want it; nil: what is found is refused
}

// Scanner is an egress.Scanner. It is safe for concurrent use.
type Scanner struct {
	known    *needles.Set
	tokens   *needles.Set
	unusable []needles.Unusable
	patterns func() (*scan.Scanner, error) // loaded when first needed: it takes 30 ms
	cleared  cleared
	ask      Asker
	askTime  time.Duration
	approved approvals
	undoing  atomic.Int32 // bodies of requests whose encoding is being undone
	answers  atomic.Int32 // and of answers
}

// New makes a scanner.
func New(o Options) (*Scanner, error) {
	s := &Scanner{ask: o.Ask, askTime: askTime, patterns: sync.OnceValues(func() (*scan.Scanner, error) { return scan.New(nil) })}
	var err error
	if s.known, s.unusable, err = needles.Compile(o.Known, needles.Options{Lead: Lead}); err != nil {
		return nil, fmt.Errorf("reading the secrets to look for: %w", err)
	}
	if s.tokens, _, err = needles.Compile(o.Tokens, needles.Options{Lead: Lead}); err != nil {
		return nil, fmt.Errorf("reading the tokens to look for: %w", err)
	}
	return s, nil
}

// Unusable says which secrets can't be looked for, and why, a line each.
func (s *Scanner) Unusable() (lines []string) {
	for _, u := range s.unusable {
		lines = append(lines, u.String())
	}
	return lines
}

// looks tells whether a route's traffic is looked at by a detector.
func looks(route *policy.Route, detector string) bool {
	if detector == policy.DetectorKnown && mutation.On(mutation.DLPKnown) || detector == policy.DetectorPatterns && mutation.On(mutation.DLPPatterns) {
		return false
	}
	return route.Uses(detector)
}

// looksAtAll tells whether there is anything to look for by which a request is refused.
func looksAtAll(route *policy.Route) bool {
	return looks(route, policy.DetectorKnown) || looks(route, policy.DetectorPatterns)
}

// Request looks at where a request goes and at its header.
func (s *Scanner) Request(route *policy.Route, head *http.Request) error {
	if webSocket(head.Header) {
		head.Header.Del("Sec-WebSocket-Extensions") // or the frames were compressed
	}
	if route.Auth != nil {
		head.Header.Set("Accept-Encoding", "identity") // so that the token is seen if it comes back
	}
	if encoding := encodingOf(head.Header); encoding != "" && looksAtAll(route) {
		if err := checkEncoding(route, encoding); err != nil {
			return err
		}
	}
	return s.find(route, headText(route, head), "the head of the request")
}

// Trailer looks at the fields behind a body.
func (s *Scanner) Trailer(route *policy.Route, trailer http.Header) error {
	if len(trailer) == 0 {
		return nil
	}
	return s.find(route, fieldsText(route, trailer), "the trailer of the request")
}

func webSocket(header http.Header) bool {
	return strings.EqualFold(header.Get("Upgrade"), "websocket")
}

// headText is what of a head is looked at: all but fields in which the route lets the
// agent's own credentials pass. A field's name stands behind its value: rules of gitleaks
// that go by a word such as "api" before a value would take many a harmless field for a
// key.
func headText(route *policy.Route, head *http.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", head.URL.Host, head.URL.EscapedPath())
	for part := range strings.SplitSeq(head.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if !slices.Contains(route.Credentials, "?"+strings.ToLower(name)) {
			b.WriteString(part + "\n")
		}
	}
	return b.String() + fieldsText(route, head.Header)
}

func fieldsText(route *policy.Route, fields http.Header) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if slices.Contains(route.Credentials, strings.ToLower(name)) {
			continue
		}
		for _, value := range fields[name] {
			b.WriteString(value + "\n" + name + "\n")
		}
	}
	return b.String()
}

// find looks for anything in a text, and refuses what holds something. A head is never
// made unreadable: it would be another request.
func (s *Scanner) find(route *policy.Route, text, where string) error {
	if looks(route, policy.DetectorKnown) {
		if err := s.decideKnown(route, s.spans([]byte(text)), where); err != nil {
			return err
		}
	}
	if !looks(route, policy.DetectorPatterns) {
		return nil
	}
	found, err := s.rules([]byte(text))
	if err != nil {
		return broken(err)
	}
	return s.decidePatterns(route, found, where)
}

// spans gives where a text holds known secrets.
func (s *Scanner) spans(text []byte) []needles.Match {
	m := s.known.Stream()
	return needles.Merge(append(m.Write(text), m.Close()...))
}

func (s *Scanner) rules(text []byte) ([]scan.Finding, error) {
	patterns, err := s.patterns()
	if err != nil {
		return nil, err
	}
	return patterns.Text(context.Background(), string(text))
}

// unreadable refuses what can't be looked into, whatever the route says of matches.
func unreadable(route *policy.Route, why error) error {
	return &egress.Withheld{Rule: RuleEncoding, Message: "the request can't be looked into for secrets: " + why.Error(), Hint: unlooked(route), Detail: why}
}

// broken refuses because of an error of our own.
func broken(err error) error {
	return &egress.Withheld{Rule: RuleBroken, Message: "the request could not be looked at to its end", Detail: errors.Join(errors.New("looking for secrets"), err)}
}

// unlooked is what lets pass what can't be looked into.
func unlooked(route *policy.Route) string {
	return fmt.Sprintf("egress:\n  routes:\n    - host: %s\n      dlp: {outbound_detectors: false}\n", route.Host)
}

// hint is what lets it pass.
func hint(route *policy.Route, detector string) string {
	left := slices.DeleteFunc(slices.Clone(policy.Detectors), func(d string) bool { return d == detector || !route.Uses(d) })
	list := "[" + strings.Join(left, ", ") + "]"
	if len(left) == 0 {
		list = "false"
	}
	return fmt.Sprintf("egress:\n  routes:\n    - host: %s\n      dlp: {outbound_detectors: %s}\n", route.Host, list)
}
