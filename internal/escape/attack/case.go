package attack

import (
	"slices"
	"strings"
)

// Tier says when a case runs.
type Tier string

// The tiers. A quick case needs no route, breaks nothing and runs in a job's own
// bottle before the agent; a full one needs the suite's own bottle and policy. A
// pending one waits for a defence that isn't built. One of the tests can't be made
// in a bottle that lives on, or takes more than one: the project's tests make it.
const (
	Quick   Tier = "quick"
	Full    Tier = "full"
	Pending Tier = "pending"
	Tests   Tier = "tests"
)

// Class groups cases.
type Class string

// The classes, in the order of the catalogue.
const (
	Addresses Class = "addresses"
	Names     Class = "names"
	HTTP      Class = "http and tls"
	Secrets   Class = "secrets in what is allowed"
	Git       Class = "git"
	Files     Class = "files, kernel, sandbox"
	Runner    Class = "runner and forge"
)

// Case is one attack: data, and the function that tries it in the guest.
type Case struct {
	ID    string // of the catalogue; stable
	Title string // what is tried
	Class Class
	Seed  string // number of the same attack in the suite that came before; empty: none
	Tier  Tier
	Layer string   // what has to hold it
	Rules []string // by which the doors may refuse it; for attempts that want a refusal
	Waits string   // what a pending case waits for
	Test  string   // of the tier Tests: "package TestName", the package by its folder
	// Twin says what legitimate form of the same thing has to succeed in the same
	// bottle.
	Twin string
	// Local says that the twin of a full case stays in the guest.
	Local bool

	// After is a case of the end: what the agent leaves behind is judged on the host
	// once its bottle has settled (package escape).
	After bool

	// Measured is a case of which nothing promises that it holds: it says how many of its
	// tries were refused.
	Measured bool

	// Known is a case whose canary is a secret of the run.
	Known bool

	paths bool // the host gives the tries
	run   func(*prober) []Try
	twin  func(*prober) Try
}

// Paths tells whether the case consists of tries that the host gives.
func (c Case) Paths() bool { return c.paths }

// Catalogue gives every case, in its order.
func Catalogue() []Case {
	return slices.Concat(addressCases(), nameCases(), httpCases(), secretCases(), gitCases(), fileCases(), runnerCases())
}

// Runs tells whether the suite makes the case in a bottle that lives.
func (c Case) Runs() bool { return c.Tier == Quick || c.Tier == Full }

// IDs names the cases of a class that the suite makes in a bottle that lives.
func IDs(class Class) (ids []string) {
	for _, c := range Catalogue() {
		if c.Class == class && c.Runs() {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// Find gives the case with an ID.
func Find(id string) (Case, bool) {
	all := Catalogue()
	i := slices.IndexFunc(all, func(c Case) bool { return strings.EqualFold(c.ID, id) })
	if i < 0 {
		return Case{}, false
	}
	return all[i], true
}
