package action

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/escape"
	"github.com/bot-bottle/action/internal/post"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// Inputs are those of action.yml, checked.
type Inputs struct {
	Token         secret.Value
	Bottles       []string // in the order of their merge
	Agent         string
	Prompt        string
	PromptFile    string
	Command       string // for the guest's /bin/sh
	Backend       string
	Workspace     string
	Timeout       time.Duration // 0: the bottle's
	PullRequest   bool
	FailOn        []Failure
	Escape        escape.Tier // empty: off
	PreflightOnly bool
	ReportDir     string
	Model         string
	Post          []post.Kind // what the forge is told of the step
}

// Failure is a kind of ending that may fail the step.
type Failure string

// The kinds. Whatever is none of them (wrong input, a host that can't, no proof,
// a broken bottle, a time limit) always fails the step.
const (
	FailAgent   Failure = "agent"   // the agent ended with an error, or its changes were refused
	FailEscape  Failure = "escape"  // an attack of the suite succeeded
	FailRefused Failure = "refused" // a door refused a request, though the agent did its work
	FailPost    Failure = "post"    // results could not be posted
	FailCleanup Failure = "cleanup" // something could not be undone
)

var failures = []Failure{FailAgent, FailEscape, FailRefused, FailPost, FailCleanup}

// maxInput bounds a text input; what a variable can hold is less (maxHandover).
const maxInput = 256 << 10

// reader reads inputs one by one and keeps the first error.
type reader struct {
	given map[string]string
	taken map[string]bool
	err   error
}

func (r *reader) fail(name, format string, args ...any) {
	if r.err == nil {
		r.err = inputError(name, format, args...)
	}
}

func inputError(name, format string, args ...any) *term.Error {
	return term.Errorf(term.StageUsage, "", "reading input %q: %w", name, fmt.Errorf(format, args...)).
		WithHint("see the inputs in docs/reference/action.md")
}

// text gives an input that may have many lines; space around it doesn't count,
// as a block of YAML ends with a newline.
func (r *reader) text(name string) string {
	r.taken[name] = true
	value := strings.TrimSpace(r.given[name])
	if len(value) > maxInput {
		r.fail(name, "it has more than %d bytes", maxInput)
	}
	if strings.ContainsRune(value, 0) {
		r.fail(name, "it has a NUL")
	}
	return value
}

// line gives an input of one line.
func (r *reader) line(name string) string {
	value := r.text(name)
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		r.fail(name, "it has more than one line, or control characters: %q", term.Shorten(value, 60))
	}
	return value
}

// nameForm is that of bottles, agents and backends.
var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (r *reader) name(name string) string {
	value := r.line(name)
	if value != "" && !nameForm.MatchString(value) {
		r.fail(name, "%q is not a name: lower-case letters, digits and single dashes", term.Shorten(value, 60))
	}
	return value
}

// list gives the parts of a comma-separated input.
func (r *reader) list(name string) []string {
	value := r.line(name)
	if value == "" {
		return nil
	}
	parts := strings.Split(value, ",")
	for i, p := range parts {
		if parts[i] = strings.TrimSpace(p); parts[i] == "" {
			r.fail(name, "%q has an empty part", term.Shorten(value, 60))
		}
	}
	return parts
}

func (r *reader) boolean(name string) bool {
	switch value := r.line(name); value {
	case "", "false":
	case "true":
		return true
	default:
		r.fail(name, "%q is neither true nor false", term.Shorten(value, 60))
	}
	return false
}

func (r *reader) bottles() []string {
	all := r.list("bottle")
	for _, b := range all {
		if !nameForm.MatchString(b) {
			r.fail("bottle", "%q is not a name: lower-case letters, digits and single dashes", term.Shorten(b, 60))
		}
	}
	return all
}

func (r *reader) duration(name string) time.Duration {
	value := r.line(name)
	if value == "" {
		return 0
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		r.fail(name, "%q is not a duration such as 90s, 10m or 2h", term.Shorten(value, 60))
	}
	return d
}

// defaultFailOn is all but refused: a door that refused did its work.
var defaultFailOn = []Failure{FailAgent, FailEscape, FailPost, FailCleanup}

func (r *reader) failOn(name string) []Failure {
	list := r.list(name)
	if list == nil {
		return defaultFailOn
	}
	var on []Failure
	for _, word := range list {
		if !slices.Contains(failures, Failure(word)) {
			r.fail(name, "%q is none of %v", term.Shorten(word, 60), failures)
		}
		on = append(on, Failure(word))
	}
	return on
}

// post is empty for nothing, as where the input isn't given: the default is
// action.yml's.
func (r *reader) post(name string) []post.Kind {
	var kinds []post.Kind
	for _, word := range r.list(name) {
		if word != "none" && !slices.Contains(post.Kinds, post.Kind(word)) {
			r.fail(name, "%q is none of %v, none", term.Shorten(word, 60), post.Kinds)
		}
		kinds = append(kinds, post.Kind(word))
	}
	if !slices.Contains(kinds, "none") {
		return kinds
	}
	if len(kinds) > 1 {
		r.fail(name, "none stands beside something else")
	}
	return nil
}

func (r *reader) escape(name string) escape.Tier {
	switch value := r.line(name); value {
	case "", "off":
	case string(escape.Quick), string(escape.Full):
		return escape.Tier(value)
	default:
		r.fail(name, "%q is none of off, quick, full", term.Shorten(value, 60))
	}
	return ""
}

// shimInputs are for the shim alone.
var shimInputs = []string{"bottle-path", "bottle-sha256", "install"}

// ParseInputs checks the inputs. Every error names the input.
func ParseInputs(given map[string]string) (Inputs, error) {
	r := &reader{given: given, taken: map[string]bool{}}
	in := Inputs{
		Token:         secret.New("input token", r.line("token")),
		Bottles:       r.bottles(),
		Agent:         r.name("agent"),
		Prompt:        r.text("prompt"),
		PromptFile:    r.line("prompt-file"),
		Command:       r.text("command"),
		Backend:       r.name("backend"),
		Workspace:     r.line("workspace"),
		Timeout:       r.duration("timeout"),
		PullRequest:   r.boolean("pull-request"),
		FailOn:        r.failOn("fail-on"),
		Escape:        r.escape("escape"),
		PreflightOnly: r.boolean("preflight-only"),
		ReportDir:     r.line("report-dir"),
		Model:         r.line("model"),
		Post:          r.post("post"),
	}
	r.known()
	in.check(r)
	return in, r.err
}

// known refuses what this binary doesn't know, for it may have been meant to
// confine.
func (r *reader) known() {
	for name := range r.given {
		if !r.taken[name] && !slices.Contains(shimInputs, name) {
			r.fail(name, "this version of bot-bottle knows no such input")
		}
	}
}

func (in Inputs) check(r *reader) {
	if in.Prompt != "" && in.PromptFile != "" {
		r.fail("prompt-file", "the input %q says what to do as well", "prompt")
	}
	if in.Command != "" && (in.Agent != "" || in.Prompt != "" || in.PromptFile != "") {
		r.fail("command", "an agent or a prompt is given as well, and a command takes neither")
	}
	if slices.Contains(in.Post, post.Issue) && in.Escape == "" {
		r.fail("post", "the issue is about the sandbox-escape suite, and the input %q is off", "escape")
	}
}
