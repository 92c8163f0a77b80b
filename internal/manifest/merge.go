package manifest

import (
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/policy"
)

// rule says how one key of over gets into a merged bottle.
type rule struct {
	key string
	// take copies the key. A key that is replaced whole takes everything below
	// it along; of one that is not, over's part is laid over what is there.
	take  func(merged *Bottle, over Bottle)
	whole bool
}

// rules are those of the keys that a bottle may declare. A list or a door is
// replaced whole, so that a bottle says all of what it opens, and an empty one
// clears; what has names of its own (variables, limits, the fields of the git
// user) is laid over name by name.
var rules = []rule{
	{"for", func(m *Bottle, over Bottle) { m.For = over.For }, true},
	{"isolation", func(m *Bottle, over Bottle) { m.Policy.Isolation = over.Policy.Isolation }, true},
	{"image", func(m *Bottle, over Bottle) { m.Policy.Image = over.Policy.Image }, true},
	{"env", func(m *Bottle, over Bottle) { m.Env = mergeEnv(m.Env, over.Env) }, false},
	{"agent_provider", func(m *Bottle, over Bottle) { m.Provider = over.Provider }, true},
	{"egress", takeEgress, true},
	{"git-gate.user", func(m *Bottle, over Bottle) { m.Git.User = m.Git.User.over(over.Git.User) }, false},
	{"git-gate.repos", func(m *Bottle, over Bottle) { m.Git.Repos = over.Git.Repos }, true},
	{"supervise", func(m *Bottle, over Bottle) { m.Supervise = over.Supervise }, true},
	{"limits", func(m *Bottle, over Bottle) { m.Policy.Limits = mergeLimits(m.Policy.Limits, over) }, false},
}

// overlay gives base with what over declares. Neither is changed. The name, the
// path and what is extended are over's.
func overlay(base, over Bottle) Bottle {
	m := base
	m.Name, m.Path, m.Extends = over.Name, over.Path, over.Extends
	m.Policy.Bottle = over.Name
	m.Lineage = slices.Concat(base.Lineage, over.Lineage)
	m.places = maps.Clone(base.places)
	for _, r := range rules {
		if !over.declares(r.key) {
			continue
		}
		r.take(&m, over)
		if r.whole {
			maps.DeleteFunc(m.places, func(key string, _ place) bool { return within(key, r.key) })
		}
	}
	maps.Copy(m.places, over.places)
	return m
}

func takeEgress(m *Bottle, over Bottle) {
	m.Policy.Egress, m.Routes, m.Presets = over.Policy.Egress, over.Routes, over.Presets
}

func mergeEnv(base, over []EnvEntry) []EnvEntry {
	merged := slices.Clone(base)
	for _, e := range over {
		if i := slices.IndexFunc(merged, func(m EnvEntry) bool { return m.Name == e.Name }); i >= 0 {
			merged[i] = e
			continue
		}
		merged = append(merged, e)
	}
	return merged
}

// over gives u with the fields of o that are set.
func (u GitUser) over(o GitUser) GitUser {
	if o.Name != "" {
		u.Name = o.Name
	}
	if o.Email != "" {
		u.Email = o.Email
	}
	return u
}

func mergeLimits(l policy.Limits, over Bottle) policy.Limits {
	o := over.Policy.Limits
	for key, take := range map[string]func(){
		"memory":       func() { l.MemoryBytes = o.MemoryBytes },
		"cpus":         func() { l.CPUs = o.CPUs },
		"pids":         func() { l.PIDs = o.PIDs },
		"disk":         func() { l.DiskBytes = o.DiskBytes },
		"timeout":      func() { l.Timeout = o.Timeout },
		"requests":     func() { l.Requests = o.Requests },
		"egress_bytes": func() { l.EgressBytes = o.EgressBytes },
		"tokens":       func() { l.Tokens = o.Tokens },
		"cost":         func() { l.Cost = o.Cost },
		"best_effort":  func() { l.BestEffort = o.BestEffort },
	} {
		if over.declares("limits." + key) {
			take()
		}
	}
	return l
}

// Merge lays bottles over each other in the order in which they were named at
// launch, each with what it extends already merged: later ones win, by the same
// rules as `extends`, but that every one of them still has to serve the job.
func Merge(bottles ...Bottle) Bottle {
	merged := bottles[0]
	names := []string{merged.Name}
	serve := slices.Clone(merged.For)
	for _, b := range bottles[1:] {
		merged = overlay(merged, b)
		names = append(names, b.Name)
		serve = append(serve, b.For...)
	}
	merged.For = serve
	merged.Name = strings.Join(names, "+")
	merged.Policy.Bottle = merged.Name
	return merged
}

// WithUser gives the bottle with what an agent sets of the git user.
func (b Bottle) WithUser(u GitUser) Bottle {
	b.Git.User = b.Git.User.over(u)
	return b
}
