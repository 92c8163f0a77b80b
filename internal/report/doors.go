package report

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// Doors is what passed through the doors, counted from decision lines.
type Doors struct {
	Doors []Door `json:"doors"` // in the order of first use
	// Dropped is how many lines the log had no room for. Where it isn't 0, the
	// other numbers are too small.
	Dropped int64 `json:"dropped_lines,omitempty"`
}

// Door is what passed through one door.
type Door struct {
	Name     decision.Door `json:"name"`
	Allowed  int64         `json:"allowed"`
	Refused  int64         `json:"refused"`
	Broken   int64         `json:"broken"`   // allowed, but ended with an error
	Open     int64         `json:"open"`     // allowed, but no end was recorded
	Stripped int64         `json:"stripped"` // allowed after the agent's own credentials were removed
	Rules    []RuleCount   `json:"rules,omitempty"`
	Warnings []RuleCount   `json:"warnings,omitempty"` // rules that found something in what passed
	Routes   []RouteCount  `json:"routes,omitempty"`
}

// RuleCount is how often a rule refused.
type RuleCount struct {
	Rule  string `json:"rule"`
	Count int64  `json:"count"`
}

// RouteCount is what happened on one listed route.
type RouteCount struct {
	Route    string        `json:"route"`
	Allowed  int64         `json:"allowed"`
	Refused  int64         `json:"refused"`  // a request to a listed host that its matches don't allow
	Sent     int64         `json:"sent"`     // body bytes towards the upstream
	Received int64         `json:"received"` // body bytes towards the guest
	Slowest  time.Duration `json:"slowest_ns"`
}

// Other stands for a rule or route whose text can't be one of ours.
const Other = "other"

// FromDecisions counts lines. Methods, hosts and paths are left behind; a rule or
// route that isn't written in the characters of one counts as Other, so that not
// even a sidecar that was taken over can put words into a report.
func FromDecisions(lines iter.Seq[decision.Line]) Doors {
	c := counter{open: map[uint64]passage{}}
	for line := range lines {
		switch line.Kind {
		case decision.KindVerdict:
			c.verdict(line)
		case decision.KindEnd:
			c.end(line)
		case decision.KindDropped:
			c.dropped += line.Count
		}
	}
	return c.sum()
}

// counter adds lines up.
type counter struct {
	doors   []*doorCount
	open    map[uint64]passage // allowed requests without an end so far
	dropped int64
}

type doorCount struct {
	Door
	rules  map[string]int64
	warned map[string]int64
	routes map[string]*RouteCount
}

// passage is where an allowed request is counted.
type passage struct {
	door  *doorCount
	route *RouteCount // nil where no listed route is involved
}

func (c *counter) verdict(line decision.Line) {
	p := c.passage(line)
	if line.Verdict != decision.Allow {
		p.door.Refused++
		p.door.rules[policyWord(line.Rule)]++
		if p.route != nil {
			p.route.Refused++
		}
		return
	}
	p.door.Allowed++
	if len(line.Dropped) > 0 {
		p.door.Stripped++
	}
	if p.route != nil {
		p.route.Allowed++
	}
	c.open[line.ID] = p
}

func (c *counter) end(line decision.Line) {
	p, ok := c.open[line.ID]
	if !ok {
		return
	}
	delete(c.open, line.ID)
	if line.Error != "" {
		p.door.Broken++
	}
	if heldBack(line.Rule) {
		p.door.rules[policyWord(line.Rule)]++
	}
	for _, rule := range line.Warned[:min(len(line.Warned), maxWarned)] {
		p.door.warned[policyWord(rule)]++
	}
	if p.route != nil {
		p.route.Sent += line.Sent
		p.route.Received += line.Received
		p.route.Slowest = max(p.route.Slowest, line.Duration)
	}
}

// maxWarned is more than there are rules that warn.
const maxWarned = 8

// heldBack tells whether a rule broke a request off by what was found in it, or because
// something was used up; others tell of a connection that failed.
func heldBack(rule string) bool {
	return strings.HasPrefix(rule, "dlp-") || strings.HasPrefix(rule, "limits.")
}

func (c *counter) passage(line decision.Line) passage {
	d := c.door(line.Door)
	if line.Route == "" {
		return passage{door: d}
	}
	name := policyWord(line.Route)
	if d.routes[name] == nil {
		d.routes[name] = &RouteCount{Route: name}
	}
	return passage{door: d, route: d.routes[name]}
}

func (c *counter) door(name decision.Door) *doorCount {
	switch name {
	case decision.Egress, decision.GitGate, decision.Supervise:
	default:
		name = Other
	}
	for _, d := range c.doors {
		if d.Name == name {
			return d
		}
	}
	d := &doorCount{Door: Door{Name: name}, rules: map[string]int64{}, warned: map[string]int64{}, routes: map[string]*RouteCount{}}
	c.doors = append(c.doors, d)
	return d
}

// sum orders rules and routes, the busiest first.
func (c *counter) sum() Doors {
	for _, p := range c.open {
		p.door.Open++
	}
	all := Doors{Dropped: c.dropped}
	for _, d := range c.doors {
		d.Rules, d.Warnings = counts(d.rules), counts(d.warned)
		for _, r := range d.routes {
			d.Routes = append(d.Routes, *r)
		}
		slices.SortFunc(d.Routes, func(a, b RouteCount) int {
			return cmp.Or(cmp.Compare(b.Allowed, a.Allowed), cmp.Compare(a.Route, b.Route))
		})
		all.Doors = append(all.Doors, d.Door)
	}
	return all
}

// counts orders rules, the busiest first.
func counts(of map[string]int64) (list []RuleCount) {
	for rule, n := range of {
		list = append(list, RuleCount{Rule: rule, Count: n})
	}
	slices.SortFunc(list, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule))
	})
	return list
}

// policyWordBytes bounds a rule or a route: a DNS name has up to 253 characters
// (RFC 1035 §2.3.4), a port up to five.
const policyWordBytes = 260

// policyWord gives s if it is written like a rule ("no-route") or a route
// ("*.example.com:443", "[2001:db8::1]:443"), else Other.
func policyWord(s string) string {
	outside := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._*:[]", r)
	}
	if s == "" || len(s) > policyWordBytes || strings.ContainsFunc(s, outside) {
		return Other
	}
	return s
}
