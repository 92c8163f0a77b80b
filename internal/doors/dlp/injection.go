package dlp

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"

	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// Phrases by which a text speaks to an agent that reads it, and not to a person: over
// text in small letters, in which all else is one space. Each is looked for where one of
// its first words stands.
type phrase struct {
	begins []string
	rest   *regexp.Regexp // from the beginning on
}

func newPhrase(begins, rest string) phrase {
	return phrase{strings.Split(begins, "|"), regexp.MustCompile(`^(?:` + begins + `) ` + rest)}
}

const (
	agents  = `(?:ai|ais|llm|llms|language models?|assistants?|coding agents?|agents?|claude|codex|chatgpt|copilot|gemini)\b`
	orders  = `(?:instructions?|prompts?|rules|guidelines|directions|commands|constraints|restrictions)\b`
	keys    = `(?:api|access|secret|private|ssh|auth|deploy|session)? ?(?:keys?|tokens?|passwords?|credentials|secrets?|environment variables|env)\b`
	fillers = `(?:(?:all|any|every|the|your|my|of|these|those|other|its|to|me|us|contents?|values?|file) )*`
)

var phrases = []phrase{
	newPhrase("ignore|disregard|forget|override|bypass", fillers+`(?:previous|prior|above|earlier|preceding|existing|original|system|safety) `+orders),
	newPhrase("you are|act|behave", `(?:now |as )+(?:an? |the )?(?:\w+ )?(?:unrestricted|unfiltered|jailbroken|uncensored|dan\b|administrator|different assistant|new assistant)`),
	newPhrase("new|updated|real|actual|revised|hidden", `(?:system )?`+orders+` (?:for|to) (?:you\b|(?:the |all |any )?`+agents+`)`),
	newPhrase("do not|don t|never|without", `(?:tell|telling|inform|informing|mention|mentioning|alert|alerting|notify|notifying|asking) (?:this |it |anything )?(?:to )?(?:the |your |any )?(?:user|human|operator|owner)`),
	newPhrase("attention|note|message|notice|instructions|important", `(?:to|for) (?:all |any |the )?`+agents),
	newPhrase("enable|enter|activate|switch to", `(?:developer|debug|god|dan|admin|unrestricted|jailbreak) mode`),
	newPhrase("begin|end|start", `(?:of )?(?:the )?(?:system|admin|developer) (?:prompt|message|instructions?)`),
	newPhrase("your", `(?:true|real|actual|new) (?:task|goal|purpose|objective|mission|instructions?) (?:is|are)\b`),
}

// disclosure asks for a credential. Every description of an API does, so that it counts
// only beside a phrase.
var disclosure = newPhrase("send|post|upload|submit|email|forward|transmit|exfiltrate|copy|paste|print|reveal|include|leak|share|write|commit|push", fillers+`(?:\w+ ){0,3}?`+keys)

// Distances within which two of them belong together, in bytes of such text.
const (
	together  = 2 << 10
	maxPhrase = 256
)

// injection looks in an answer for what is meant to take an agent over.
type injection struct {
	route  *policy.Route
	warn   func(string)
	text   []byte // normal, the last of it
	warned bool
}

// looksForInjection tells whether an answer of the route with that header is looked at.
func looksForInjection(route *policy.Route, header http.Header) bool {
	if mutation.On(mutation.DLPAnswers) || !route.LooksIn() || header.Get("Upgrade") != "" {
		return false
	}
	kind, _, _ := strings.Cut(strings.ToLower(header.Get("Content-Type")), ";")
	kind = strings.TrimSpace(kind)
	for _, part := range []string{"json", "xml", "javascript", "yaml", "markdown"} {
		if strings.Contains(kind, part) {
			return true
		}
	}
	return kind == "" || strings.HasPrefix(kind, "text/")
}

// see looks at the bytes that come next.
func (i *injection) see(fresh []byte) error {
	i.text = normal(i.text, fresh)
	var found []int // where each kind of phrase stands
	high := false
	for kind, p := range phrases {
		for _, at := range p.find(i.text) {
			for other, place := range found {
				high = high || place >= 0 && other != kind && abs(at-place) <= together
			}
			high = high || disclosure.near(i.text, at)
			for len(found) <= kind {
				found = append(found, -1)
			}
			found[kind] = at
		}
	}
	switch {
	case high:
		return injected(i.route)
	case len(found) > 0 && !i.warned:
		i.warned = true
		i.warn(RuleInjection)
	}
	i.text = append(i.text[:0], i.text[max(0, len(i.text)-together-maxPhrase):]...)
	return nil
}

// find gives where the phrase stands in text.
func (p phrase) find(text []byte) (places []int) {
	for _, word := range p.begins {
		for from := 0; ; {
			at := bytes.Index(text[from:], []byte(word))
			if at < 0 {
				break
			}
			at += from
			from = at + len(word)
			if (at == 0 || text[at-1] == ' ') && p.rest.Match(text[at:min(len(text), at+maxPhrase)]) {
				places = append(places, at)
			}
		}
	}
	return places
}

func (p phrase) near(text []byte, at int) bool {
	return len(p.find(text[max(0, at-together/2):min(len(text), at+together/2)])) > 0
}

// normal adds more to text: letters and digits in small, and one space for all between
// them, escapes of JSON among it.
func normal(text, more []byte) []byte {
	escape := len(text) > 0 && text[len(text)-1] == '\\'
	if escape {
		text[len(text)-1] = ' '
	}
	for _, c := range more {
		if escape {
			if escape = false; c == 'n' || c == 't' || c == 'r' {
				continue
			}
		}
		switch {
		case c >= 'A' && c <= 'Z':
			text = append(text, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			text = append(text, c)
		default:
			escape = c == '\\'
			if len(text) > 0 && text[len(text)-1] != ' ' {
				text = append(text, ' ')
			}
		}
	}
	if escape { // its letter comes next
		text = append(text, '\\')
	}
	return text
}

func abs(n int) int { return max(n, -n) }

// injected withholds the rest of an answer.
func injected(route *policy.Route) error {
	return &egress.Withheld{
		Rule: RuleInjection, Message: "the answer speaks to an agent, as who wants to take one over does", Detail: errInjection,
		Hint: "egress:\n  routes:\n    - host: " + route.Host + "\n      dlp: {inbound_detectors: false}\n",
	}
}
