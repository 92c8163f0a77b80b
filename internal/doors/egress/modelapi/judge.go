package modelapi

import (
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/internal/policy"
)

// The rules by which a request is refused. They stand in decision lines and don't
// change their spelling.
const (
	RuleEndpoint = "model-endpoint" // method, path or query is not one of the listed
	RuleBody     = "model-body"     // the body is not one plain JSON document
	RuleFeature  = "model-feature"  // it uses what the bottle doesn't list
)

// Request is what a judgement is made on.
type Request struct {
	Method string
	Path   string      // canonical, see policy.CanonicalPath
	Query  string      // as on the wire, without credentials
	Header http.Header // keys as net/http spells them
	Body   []byte      // whole
}

// Refusal says why a request may not pass. Message and Hint are for the guest.
type Refusal struct {
	Rule    string
	Feature string // what would have to be listed; empty if nothing would help
	Message string
	Hint    string // lines of a bottle that would allow it; may be empty
}

// wire is one provider's API.
type wire struct {
	endpoints []endpoint
	prefixes  []string                                // of the header fields that are the provider's own
	headers   map[string]func(j *judge, value string) // those that are known, in lower case
	rename    func(string) string                     // of keys
}

type endpoint struct {
	method string
	path   *regexp.Regexp
	query  []string // the parameters that may be there, whole
	body   rule     // nil: there is none
}

var wires = map[string]wire{
	policy.WireAnthropic: anthropic(),
	policy.WireOpenAI:    openAI(),
	policy.WireGemini:    gemini(),
}

// Judge gives nil for a request that may pass. It reads r only.
func Judge(api policy.ModelAPI, r Request) *Refusal {
	w, known := wires[api.Wire]
	if !known {
		return &Refusal{Rule: RuleEndpoint, Message: fmt.Sprintf("there is no model API %.40q", api.Wire)}
	}
	e, refusal := w.endpoint(r)
	if refusal != nil {
		return refusal
	}
	j := &judge{allow: api.Allow}
	w.judgeHeader(j, r.Header)
	if j.refusal == nil {
		w.judgeBody(j, e, r)
	}
	return j.refusal
}

func (w wire) endpoint(r Request) (endpoint, *Refusal) {
	for _, e := range w.endpoints {
		if e.method != r.Method || !e.path.MatchString(r.Path) {
			continue
		}
		if r.Query != "" && !slices.Contains(e.query, r.Query) {
			return e, &Refusal{Rule: RuleEndpoint, Message: "the query of this request is not one that a model needs"}
		}
		return e, nil
	}
	return endpoint{}, &Refusal{Rule: RuleEndpoint, Message: fmt.Sprintf("%.20q on this path is more of the model's API than a bottle gives", r.Method)}
}

// judgeHeader looks at the fields that are the provider's own. Servers behind CGI
// can't tell an underscore from a hyphen.
func (w wire) judgeHeader(j *judge, header http.Header) {
	for name, values := range header {
		plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if !slices.ContainsFunc(w.prefixes, func(p string) bool { return strings.HasPrefix(plain, p) }) {
			continue
		}
		look, known := w.headers[plain]
		if !known {
			j.allows("header:"+clip(plain), "header field "+quoted(plain))
			continue
		}
		for _, v := range values {
			look(j, v)
		}
	}
}

// listedTokens looks for each element of a list-based field (RFC 9110, section
// 5.6.1) among the known ones.
func listedTokens(kind string, known []string) func(*judge, string) {
	return func(j *judge, list string) {
		for token := range strings.SplitSeq(list, ",") {
			if token = strings.TrimSpace(token); token != "" && !slices.Contains(known, token) {
				j.allows(kind+":"+clip(token), kind+" feature "+quoted(token))
			}
		}
	}
}

func anyValue(*judge, string) {}

func (w wire) judgeBody(j *judge, e endpoint, r Request) {
	if e.body == nil {
		if len(r.Body) > 0 {
			j.malformed("this endpoint takes no body")
		}
		return
	}
	if what := encoding(r.Header); what != "" {
		j.malformed(what)
		return
	}
	v, err := parse(r.Body, w.rename)
	if err != nil {
		j.malformed("the body can't be judged: " + err.Error())
		return
	}
	e.body(j, "", v)
}

// encoding tells what keeps a body from being read as it stands.
func encoding(header http.Header) string {
	for _, coding := range header["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			return "a body in content coding " + quoted(coding) + " can't be judged; send it plain"
		}
	}
	types := header["Content-Type"]
	if len(types) != 1 {
		return "the body is not marked as JSON, once"
	}
	media, parameters, err := mime.ParseMediaType(types[0])
	if err != nil || media != "application/json" || parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8") {
		return "a body of type " + quoted(types[0]) + " can't be judged; send JSON in UTF-8"
	}
	return ""
}

func notListed(feature, what string) *Refusal {
	return &Refusal{
		Rule: RuleFeature, Feature: feature,
		Message: fmt.Sprintf("%s needs %q, which the bottle does not allow of the model's API", what, feature),
		Hint:    fmt.Sprintf("agent_provider:\n  allow: [%s]\n", strconv.QuoteToASCII(feature)),
	}
}

// maxName bounds what is repeated of a request.
const maxName = 120

func clip(s string) string {
	if len(s) > maxName {
		return s[:maxName]
	}
	return s
}

func quoted(s string) string { return strconv.QuoteToASCII(clip(s)) }

func same(key string) string { return key }
