package probe_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/guest/probe"
	"golang.org/x/net/dns/dnsmessage"
)

func TestEveryTryOutsideHasARuleOfGVisorsWithAReason(t *testing.T) {
	errnos := probe.GVisorErrnos()
	for _, r := range errnos.Rules {
		if r.Reason == "" || len(r.Errnos) == 0 {
			t.Errorf("%+v", r)
		}
	}
	seen := map[string]bool{}
	for _, try := range probe.Outside() {
		if seen[try.String()] {
			t.Errorf("%s is there twice", try)
		}
		seen[try.String()] = true
		c := goodCase()
		c.Plan = probe.NewPlan("nonce", []probe.Try{tcp, udp, try}, nil, doors, errnos)
		for i := range c.Results {
			c.Results[i].Tries[2] = result(c.Plan.Tries[2], probe.Refused, "EOTHER")
		}
		if _, err := probe.Judge(c); err == nil || !strings.Contains(err.Error(), `"EOTHER" instead of`) {
			t.Errorf("%s: %v", try, err)
		}
	}
}

func TestAnErrorFromAStrangerIsNotOneFromTheOwnLoopback(t *testing.T) {
	for target, errno := range map[string]string{
		"127.0.0.1:1": "ECONNREFUSED", "0.0.0.0:1": "ECONNREFUSED", "[::1]:1": "ECONNREFUSED", "[::]:1": "ECONNREFUSED", "127.0.0.53:53": "ECONNREFUSED",
		"[::ffff:127.0.0.1]:1": "ECONNREFUSED", "192.0.2.1:1": "ENETUNREACH", "10.0.0.1:1": "ENETUNREACH", "[fd00::1]:1": "ENETUNREACH", "[::ffff:10.0.0.1]:1": "ENETUNREACH",
	} {
		for _, other := range []string{"ECONNREFUSED", "ENETUNREACH"} {
			c := goodCase()
			try := probe.Try{Kind: probe.KindTCP, Target: target}
			c.Plan = probe.NewPlan("nonce", []probe.Try{tcp, udp, try}, nil, doors, c.Errnos)
			for i := range c.Results {
				c.Results[i].Tries[2] = result(c.Plan.Tries[2], probe.Refused, other)
			}
			if _, err := probe.Judge(c); (err == nil) != (other == errno) {
				t.Errorf("%s with %s: %v", target, other, err)
			}
		}
	}
}

func TestOnlyWhatIsDeclaredSilentHasTheShortDeadline(t *testing.T) {
	p := probe.NewPlan("nonce", []probe.Try{tcp, udp, raw}, nil, doors, probe.GVisorErrnos())
	if p.Tries[0].Deadline != probe.Deadline || p.Tries[1].Deadline != probe.SilentDeadline || p.Tries[2].Deadline != probe.Deadline {
		t.Errorf("%+v", p.Tries)
	}
}

func TestQuestionCarriesTheNonceAsALabelBelowInvalid(t *testing.T) {
	b, err := probe.Question("0a1b")
	if err != nil {
		t.Fatal(err)
	}
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil || len(m.Questions) != 1 || m.Questions[0].Name.String() != "0a1b.bot-bottle.invalid." {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := probe.Question(strings.Repeat("a", 64)); err == nil {
		t.Error("a label of 64 bytes was taken")
	}
}

func TestDecodeTakesResultsAndNothingElse(t *testing.T) {
	body, err := json.Marshal(goodCase().Results[0])
	if err != nil {
		t.Fatal(err)
	}
	if r, err := probe.Decode(bytes.NewReader(body)); err != nil || len(r.Tries) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	for name, bad := range map[string]string{
		"nothing": "", "text": "hello", "two": string(body) + string(body), "half": string(body[:len(body)/2]),
		"endless": `{"uid":0,"error":"` + strings.Repeat("x", 1<<20) + `"}`, "another type": `{"uid":"root"}`,
	} {
		if _, err := probe.Decode(strings.NewReader(bad)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzJudgeNeverHoldsOnForeignResults(f *testing.F) {
	body, err := json.Marshal(goodCase().Results[1])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add(bytes.Replace(body, []byte("ECONNREFUSED"), []byte("ECONNRESET"), 1))
	f.Add([]byte(`{"uid":1000,"listing":{"errno":"EPERM"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := probe.Decode(bytes.NewReader(body))
		if err != nil {
			return
		}
		c := goodCase()
		c.Results[1] = r
		_, err = probe.Judge(c)
		if err != nil {
			return
		}
		if r.UID != 1000 || len(r.Tries) != 3 || r.Error != "" {
			t.Errorf("it held on %s", body)
		}
		for i, try := range r.Tries {
			if try.Try != c.Plan.Tries[i] || try.Outcome == probe.Reached || try.Outcome == probe.Broken {
				t.Errorf("it held on %+v", try)
			}
		}
	})
}
