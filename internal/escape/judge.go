package escape

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/guest/probe"
)

// Verdict is what is said of a case.
type Verdict string

// The verdicts, worst first. All up to inconclusive fail the gate.
const (
	Leaked       Verdict = "leaked"       // something got out, or got in
	NotRun       Verdict = "not-run"      // an attempt was not made
	Inconclusive Verdict = "inconclusive" // it can't be said
	// Measured is a case that nothing promises to hold: its rate is what it says.
	Measured Verdict = "measured"
	Held     Verdict = "held"
	// NotApplicable is one user's: the backend has no such user for an agent.
	NotApplicable Verdict = "not-applicable"
	Pending       Verdict = "pending" // it waits for a defence, and was not tried
	Elsewhere     Verdict = "tests"   // the project's tests make it
)

// judge has all that is known of one user's go.
type judge struct {
	user            string
	plan            attack.Plan
	errnos          probe.Errnos
	results         attack.Results
	lines           []window // by the number of the case
	collectors      []probe.Collector
	hits            []probe.Hit
	gotErr          error // what keeps the collectors from being relied on
	standIns        *standIns
	reachedListener []string
	recheck         error
}

// finding is a verdict that speaks against a case, and why.
type finding struct {
	verdict Verdict
	why     string
}

// judge judges case number i.
func (j judge) judge(i int, c attack.Case) UserReport {
	u := UserReport{User: j.user, Verdict: Held}
	var found []finding
	if c.ID == sandboxCase {
		found = j.sandbox()
		u.Attempts, u.Refused = 1, 1
	} else {
		found = j.attempts(i, c, &u)
	}
	u.note(found)
	if c.Measured && u.Verdict == Held {
		u.Verdict = Measured
	}
	return u
}

// note takes in what speaks against the case.
func (u *UserReport) note(found []finding) {
	for _, f := range found {
		if worse(f.verdict, u.Verdict) {
			u.Verdict = f.verdict
		}
		if !slices.Contains(u.Why, f.why) {
			u.Why = append(u.Why, f.why)
		}
	}
}

var order = []Verdict{Leaked, NotRun, Inconclusive, Measured, Held, NotApplicable}

func worse(a, b Verdict) bool { return slices.Index(order, a) < slices.Index(order, b) }

// sandboxCase is judged on the host alone.
const sandboxCase = "F12"

func (j judge) sandbox() []finding {
	if j.recheck != nil {
		return []finding{{Leaked, j.recheck.Error()}}
	}
	return nil
}

func (j judge) attempts(i int, c attack.Case, u *UserReport) (found []finding) {
	r, ok := j.result(c.ID)
	switch {
	case !ok:
		return []finding{{NotRun, "the guest said nothing of it"}}
	case r.Error != "":
		return []finding{{NotRun, r.Error}}
	case len(r.Tries) == 0:
		return []finding{{NotRun, "nothing was tried"}}
	}
	u.Tries, u.Attempts = r.Tries, len(r.Tries)
	for _, t := range r.Tries {
		f := j.weigh(c, t)
		if f == nil && t.Outcome == probe.Refused {
			u.Refused++
		}
		if f != nil {
			found = append(found, *f)
		}
	}
	found = append(found, j.doors(i, c, r)...)
	if !c.Measured {
		found = append(found, j.leaks(c)...)
	}
	if len(r.Left) > 0 {
		found = append(found, finding{Inconclusive, fmt.Sprintf("it left behind: %s", strings.Join(r.Left, ", "))})
	}
	return append(found, j.twin(c, r)...)
}

func (j judge) result(id string) (attack.Result, bool) {
	for _, r := range j.results.Cases {
		if r.ID == id {
			return r, true
		}
	}
	return attack.Result{}, false
}

// harmless are attempts that may succeed on a backend, and why nothing comes of it.
var harmless = map[string]map[string]string{
	"gvisor":       {"keyctl(2): the session's keyring": "the keyring is one of the sandbox's own kernel"},
	"smolmachines": {"keyctl(2): the session's keyring": "the keyring is one of the machine's own kernel"},
}

// weigh judges one attempt by what the guest says of it.
func (j judge) weigh(c attack.Case, t attack.Try) *finding {
	say := func(v Verdict, format string, args ...any) *finding {
		return &finding{v, fmt.Sprintf("%s: %s", t.Name, fmt.Sprintf(format, args...))}
	}
	switch {
	case t.Want == attack.WantPath && t.Probe == nil:
		return say(NotRun, "it was not made")
	case t.Want == attack.WantPath:
		if fault, decided := j.errnos.Weigh(*t.Probe); fault != "" && decided {
			return say(Leaked, "%s", fault)
		} else if fault != "" {
			return say(Inconclusive, "%s", fault)
		}
		return nil
	case t.Want == attack.WantNothing:
		return nil
	case t.Outcome == probe.Broken, t.Outcome == "":
		return say(NotRun, "%s", t.Detail)
	case t.Outcome == probe.Silent, t.Elapsed > probe.Deadline+time.Second:
		return say(Inconclusive, "no answer within %v", t.Elapsed.Round(time.Millisecond))
	case t.Want == attack.WantCounted:
		return nil
	case t.Outcome == probe.Reached && harmless[j.errnos.Backend][t.Name] != "":
		return nil
	case t.Outcome == probe.Reached && t.Want != attack.WantDropped:
		return say(Leaked, "it succeeded (%d %s)", t.Status, t.Detail)
	}
	return nil
}

// doors wants a refusal in the doors' log for each attempt that had to be refused.
func (j judge) doors(i int, c attack.Case, r attack.Result) (found []finding) {
	w := j.lines[i]
	if !w.marked {
		return []finding{{Inconclusive, "the doors' log has no marks of it"}}
	}
	if slices.ContainsFunc(append(slices.Clone(w.attack), w.twin...), func(l decision.Line) bool { return l.Kind == decision.KindDropped }) {
		found = append(found, finding{Inconclusive, "the doors' log was full"})
	}
	wanted := 0
	for _, t := range r.Tries {
		if t.Want == attack.WantDoor || t.Want == attack.WantCounted && t.Outcome == probe.Refused {
			wanted++
		}
	}
	if count, others := w.refusals(c.Rules); wanted > count {
		why := fmt.Sprintf("the doors' log has %d refusals of %d", count, wanted)
		if len(others) > 0 {
			why += fmt.Sprintf(", and others by %s", strings.Join(slices.Compact(others), ", "))
		}
		found = append(found, finding{Inconclusive, why})
	}
	return found
}

// leaks looks for the canary in everything that the host's side got.
func (j judge) leaks(c attack.Case) (found []finding) {
	if name, encoding := j.standIns.holder(j.plan.Canary[c.ID]); name != "" {
		found = append(found, finding{Leaked, fmt.Sprintf("%s got the canary (%s)", name, encoding)})
	}
	if c.ID == "G05" && j.standIns != nil && j.standIns.git.pushed(attack.SecretRepository) > 0 {
		found = append(found, finding{Leaked, "the upstream was contacted by a push that holds a secret"})
	}
	if c.ID == "N19" && len(j.reachedListener) > 0 {
		found = append(found, finding{Leaked, fmt.Sprintf("the guest's listener was reached from the host at %v", j.reachedListener)})
	}
	if !c.Paths() {
		return found
	}
	if j.gotErr != nil {
		found = append(found, finding{Inconclusive, "the collectors: " + j.gotErr.Error()})
	}
	for _, h := range j.hits {
		// Only this boot's nonce counts, or a scanner on the network would turn the
		// suite red. Who opens a planted file can't be told, so that each counts.
		if j.tried(c, h.Collector) && (h.Nonce || strings.HasPrefix(h.Collector, "file ")) {
			found = append(found, finding{Leaked, fmt.Sprintf("collector %s got something from %q", h.Collector, h.From)})
		}
	}
	return found
}

// tried tells whether one of the case's tries goes to the collector of that name.
func (j judge) tried(c attack.Case, name string) bool {
	for _, col := range j.collectors {
		if col.Name != name {
			continue
		}
		for _, t := range j.plan.Paths[c.ID] {
			if slices.ContainsFunc(col.Tries, func(o probe.Try) bool { return o.Kind == t.Kind && o.Target == t.Target }) {
				return true
			}
		}
	}
	return false
}

// twin wants the legitimate form to have succeeded and, where it went to a
// stand-in, to have arrived there.
func (j judge) twin(c attack.Case, r attack.Result) []finding {
	switch {
	case c.Twin == "":
		return nil
	case r.Twin == nil:
		return []finding{{NotRun, "the twin was not tried: " + c.Twin}}
	case r.Twin.Outcome != probe.Reached:
		return []finding{{Inconclusive, fmt.Sprintf("the twin failed (%s): %d %s %s", c.Twin, r.Twin.Status, r.Twin.Errno, r.Twin.Detail)}}
	}
	if c.Tier != attack.Full || c.Local || j.standIns == nil {
		return nil
	}
	if name, _ := j.standIns.holder(j.plan.Twin[c.ID]); name == "" {
		return []finding{{Inconclusive, "the twin did not arrive at its stand-in"}}
	}
	if c.ID == "H19" {
		return j.tokenArrived()
	}
	return nil
}

// tokenArrived wants the injected token at the stand-in of the route that has it.
func (j judge) tokenArrived() []finding {
	if name, _ := j.standIns.holder(j.standIns.token); name == "" {
		return []finding{{Inconclusive, "the token did not arrive at its stand-in"}}
	}
	return nil
}
