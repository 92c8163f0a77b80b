package preflight

import (
	"slices"
	"strings"
)

// Entry describes one way in which a host can be unfit, or nearly: its stable id,
// what it means, and what to do about it. docs/reference/findings.md is made from
// the entries.
type Entry struct {
	ID       string // kebab-case; never reused for something else
	Status   Status // Warn or Fail
	Meaning  string // a sentence
	Remedies []Remedy
}

// Remedy is a whole instruction. Words in braces, {user}, stand for what the host
// says.
type Remedy struct {
	Distro string // an ID of os-release(5); empty: any
	Text   string
}

// remedy gives what helps on a distribution that goes by any of ids: the remedy
// for the first that has one of its own, else the one for all.
func (e Entry) remedy(ids []string) string {
	for _, id := range append(slices.Clone(ids), "") {
		i := slices.IndexFunc(e.Remedies, func(r Remedy) bool { return r.Distro == id })
		if i >= 0 {
			return e.Remedies[i].Text
		}
	}
	return ""
}

// Found makes a finding of e on this host. Pairs are words in braces and what they
// stand for, in addition to {user} and {again}.
func (h Host) Found(e Entry, found string, pairs ...string) Finding {
	pairs = append(slices.Clone(pairs), "{user}", h.userName(), "{again}", h.again())
	return Finding{ID: e.ID, Status: e.Status, Found: found, Remedy: strings.NewReplacer(pairs...).Replace(e.remedy(h.distribution()))}
}

// Passed is the finding of a check that has nothing to say against the host. Its
// id is the check's own.
func Passed(found string) Finding { return Finding{Status: OK, Found: found} }
