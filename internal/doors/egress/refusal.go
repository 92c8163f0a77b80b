package egress

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// refusal says why a request does not pass. Message and hint are for the guest
// and hold nothing it may not know; detail is for the log alone.
type refusal struct {
	status  int
	rule    string
	message string
	hint    string
	detail  error
	lasting bool // asking again is in vain
}

func refuse(status int, rule, message string) *refusal {
	return &refusal{status: status, rule: rule, message: message}
}

func (r *refusal) because(detail error) *refusal {
	r.detail = detail
	return r
}

// malformed refuses what can't be read as one request. The guest wrote it, so it
// may know what is wrong with it.
func malformed(err error) *refusal {
	return refuse(http.StatusBadRequest, RuleMalformed, err.Error()).because(err)
}

// ruleField carries the rule in a refusal's header, so that a program can tell
// the door's 403 from the upstream's.
const ruleField = "X-Bot-Bottle-Rule"

// retryField tells the clients of Anthropic's and OpenAI's own libraries whether to ask
// again, which they else do for a status of 429.
const retryField = "X-Should-Retry"

// response gives what the guest is answered, as JSON where it asks for that.
func (r *refusal) response(request *http.Request) (http.Header, []byte) {
	header := http.Header{
		ruleField:       {r.rule},
		"Cache-Control": {"no-store"},
	}
	if r.lasting {
		header.Set(retryField, "false")
	}
	if request != nil && strings.Contains(request.Header.Get("Accept"), "json") {
		header.Set("Content-Type", "application/json")
		return header, r.json()
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	return header, []byte(r.text())
}

func (r *refusal) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "bot-bottle: %s: %s\n", r.rule, r.message)
	if r.hint != "" {
		fmt.Fprintf(&b, "hint: whoever owns the bottle can allow this with\n%s\n", strings.TrimRight(r.hint, "\n"))
	}
	return b.String()
}

func (r *refusal) json() []byte {
	b, err := json.Marshal(struct {
		Error   string `json:"error"`
		Rule    string `json:"rule"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
	}{"refused by bot-bottle", r.rule, r.message, r.hint})
	if err != nil { // four strings always marshal
		panic(err)
	}
	return append(b, '\n')
}
