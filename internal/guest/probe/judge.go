package probe

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// Collector is a listener, socket or file on the host that nothing from the guest
// may reach, as its owner (package collector) describes it.
type Collector struct {
	Name    string `json:"name"`             // "tcp 127.0.0.1"
	Address string `json:"address"`          // where it listens, or lies
	Tries   []Try  `json:"tries,omitempty"`  // that would reach it if there were a path
	Alive   bool   `json:"alive"`            // it was touched by the host, and showed it
	Absent  string `json:"absent,omitempty"` // why this host can't have it; then the rest is empty
}

// Hit is something that arrived at a collector and that the host did not send.
type Hit struct {
	Collector string    `json:"collector"` // its Name
	From      string    `json:"from,omitempty"`
	Nonce     bool      `json:"nonce"` // it carried this boot's nonce
	Time      time.Time `json:"time"`
}

// Case is what Judge judges.
type Case struct {
	Plan       Plan
	Users      []int // who had to try, by user id in the guest; root among them
	Results    []Results
	Collectors []Collector
	Hits       []Hit
	Errnos     Errnos
}

// Evidence is a judged case, for the report. It holds addresses of the host.
type Evidence struct {
	Held       bool          `json:"held"`
	Faults     []string      `json:"faults,omitempty"` // all that speaks against
	Backend    string        `json:"backend"`          // whose table counted
	Users      []int         `json:"users"`
	Tries      int           `json:"tries"`   // made, by all users together
	Refused    int           `json:"refused"` // of these, how many failed as the table says
	Silent     int           `json:"silent"`  // and how many met silence that is declared
	Slowest    time.Duration `json:"slowest_ns"`
	Collectors []Collector   `json:"collectors"`
	Hits       []Hit         `json:"hits,omitempty"`
	Results    []Results     `json:"results"`
}

// Alive counts the collectors that were shown alive.
func (e Evidence) Alive() int {
	n := 0
	for _, c := range e.Collectors {
		if c.Alive {
			n++
		}
	}
	return n
}

// Absent names the collectors that this host can't have.
func (e Evidence) Absent() []string {
	var names []string
	for _, c := range e.Collectors {
		if c.Absent != "" {
			names = append(names, c.Name)
		}
	}
	return names
}

// maxNamed is how many faults an error names; the evidence has all.
const maxNamed = 5

// Judge decides the negative part of the proof: that nothing but the doors is
// reachable. The evidence is complete in any case; the error names what speaks
// against it.
//
// It holds if every collector was alive and tried and got nothing, and for each
// user every try of the plan was made and failed in time with an error of the
// table, or met silence that the table declares, no device but the loopback is
// there, and the doors folder holds exactly the wanted names. (Only root has to
// be able to list it.)
//
// Whether the doors answer is not its business: that is judged at the doors.
func Judge(c Case) (Evidence, error) {
	e := Evidence{Backend: c.Errnos.Backend, Users: c.Users, Collectors: c.Collectors, Hits: c.Hits, Results: c.Results}
	e.checkCollectors(c)
	e.checkUsers(c)
	for _, r := range c.Results {
		e.checkResults(c, r)
	}
	e.Held = len(e.Faults) == 0
	if e.Held {
		return e, nil
	}
	named := e.Faults[:min(len(e.Faults), maxNamed)]
	text := strings.Join(named, "; ")
	if more := len(e.Faults) - len(named); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return e, errors.New(text)
}

func (e *Evidence) fault(format string, args ...any) {
	e.Faults = append(e.Faults, fmt.Sprintf(format, args...))
}

// checkCollectors holds the host's half: what listened, whether it was tried, and
// what arrived.
func (e *Evidence) checkCollectors(c Case) {
	if e.Alive() == 0 {
		e.fault("no collector was alive")
	}
	for _, col := range c.Collectors {
		switch {
		case col.Absent != "":
			continue
		case !col.Alive:
			e.fault("collector %s was not shown alive", col.Name)
		case len(col.Tries) == 0:
			e.fault("collector %s has no try", col.Name)
		}
		for _, t := range col.Tries {
			if !slices.ContainsFunc(c.Plan.Tries, t.same) {
				e.fault("%s was not tried", t)
			}
		}
	}
	for _, h := range c.Hits {
		what := "something without this boot's nonce"
		if h.Nonce {
			what = "this boot's nonce"
		}
		e.fault("collector %s got %s from %q", h.Collector, what, h.From)
	}
}

// checkUsers wants the results of each user once, and no others.
func (e *Evidence) checkUsers(c Case) {
	if !slices.Contains(c.Users, 0) {
		e.fault("root is not among the users who had to try")
	}
	if len(c.Plan.Tries) == 0 {
		e.fault("nothing was to be tried")
	}
	seen := map[int]int{}
	for _, r := range c.Results {
		seen[r.UID]++
	}
	for _, uid := range c.Users {
		if seen[uid] != 1 {
			e.fault("there are %d results of user %d instead of one", seen[uid], uid)
		}
		delete(seen, uid)
	}
	for uid := range seen {
		e.fault("there are results of user %d, who was not asked", uid)
	}
}

func (e *Evidence) checkResults(c Case, r Results) {
	as := fmt.Sprintf("as user %d: ", r.UID)
	if r.Error != "" {
		e.fault("%sthe probe did not work: %q", as, r.Error)
		return
	}
	if len(r.Tries) != len(c.Plan.Tries) {
		e.fault("%s%d tries were made instead of %d", as, len(r.Tries), len(c.Plan.Tries))
		return
	}
	for i, t := range r.Tries {
		e.Tries++
		if t.Try != c.Plan.Tries[i] {
			e.fault("%s%s was tried instead of %s", as, t.Try, c.Plan.Tries[i])
		} else if why := e.weigh(t, c.Errnos); why != "" {
			e.fault("%s%s %s", as, t.Try, why)
		}
	}
	e.checkInterfaces(as, r, c.Errnos)
	e.checkListing(as, r, c.Plan.List)
}

// weigh counts a result; it gives what is wrong with it, "" where it holds.
func (e *Evidence) weigh(r Result, errnos Errnos) string {
	rule, known := errnos.rule(r.Try)
	switch {
	case r.Outcome == Reached:
		return "got through"
	case r.Outcome == Broken:
		return fmt.Sprintf("could not be made: %q", r.Detail)
	case r.Outcome != Refused && r.Outcome != Silent:
		return fmt.Sprintf("ended as %q, which is no outcome", r.Outcome)
	case !known:
		return "has no rule in the backend's table"
	case r.Outcome == Silent && !rule.Silent:
		return "met silence, where only an error shows that there is no path"
	case r.Outcome == Silent:
		e.Silent++
		return ""
	case !slices.Contains(rule.Errnos, r.Errno):
		return fmt.Sprintf("failed with %q instead of %s", r.Errno, strings.Join(rule.Errnos, " or "))
	case r.Elapsed > Deadline:
		return fmt.Sprintf("failed only after %v", r.Elapsed)
	}
	e.Refused++
	e.Slowest = max(e.Slowest, r.Elapsed)
	return ""
}

// Weigh tells what is wrong with a result by the table: "" where there is no path.
// Decided tells whether the try shows a path or its absence, rather than nothing.
func (e Errnos) Weigh(r Result) (fault string, decided bool) {
	var ignored Evidence
	fault = ignored.weigh(r, e)
	return fault, fault == "" || r.Outcome == Reached
}

// checkInterfaces lets pass what is down, without an address and without a
// hardware address: the tunnels that some kernels put into each new namespace.
func (e *Evidence) checkInterfaces(as string, r Results, errnos Errnos) {
	if r.InterfacesError != "" {
		e.fault("%sthe network interfaces could not be listed: %q", as, r.InterfacesError)
	}
	for _, i := range r.Interfaces {
		leads := i.Up || i.Ethernet || len(i.Addresses) > 0
		if !i.Loopback && leads && !slices.Contains(errnos.Interfaces, i.Name) {
			e.fault("%sthere is a network interface %q besides the loopback", as, i.Name)
		}
	}
}

// checkListing wants the doors folder to hold exactly what it should. An ordinary
// user may be denied a look, which shows as much.
func (e *Evidence) checkListing(as string, r Results, want List) {
	denied := r.Listing.Errno == "EACCES" || r.Listing.Errno == "EPERM"
	switch {
	case r.Listing.Errno != "" && !(denied && r.UID != 0):
		e.fault("%slisting %q failed with %q", as, want.Path, r.Listing.Errno)
	case r.Listing.Errno == "" && !slices.Equal(r.Listing.Names, want.Want):
		e.fault("%s%q holds %q instead of %q", as, want.Path, r.Listing.Names, want.Want)
	}
}

// Unanswered names the doors of p that did not answer as they answer the nonce,
// with 204. It tells where to look when a door has not seen it, and is no proof.
func (r Results) Unanswered(p Plan) []decision.Door {
	var doors []decision.Door
	for _, d := range p.Doors {
		if !slices.ContainsFunc(r.Doors, func(a Answer) bool { return a.Door == d.Name && a.Status == http.StatusNoContent }) {
			doors = append(doors, d.Name)
		}
	}
	return doors
}
