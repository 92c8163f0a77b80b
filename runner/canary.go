package runner

import (
	"crypto/rand"
	"math/big"
	"strings"

	"github.com/bot-bottle/action/internal/secret"
)

// canary is a secret that opens nothing: a variable of the agent's environment that looks
// like the others. Who gathers what there is and sends it has it among it, and the doors
// look for it as for the run's own.
type canary struct{ name, value string }

var canaryWords = strings.Fields("AMBER BRIDGE CEDAR DELTA EMBER FALCON GRANITE HARBOR INDIGO JUNIPER LANTERN MERIDIAN ORCHARD PRAIRIE QUARTZ SUMMIT")

// newCanary makes one that none of the variables is called as.
func newCanary(taken func(name string) bool) canary {
	for {
		c := canary{pick(canaryWords) + "_" + pick(canaryWords) + "_SECRET", strings.ToLower(rand.Text() + rand.Text()[:6])}
		if !taken(c.name) {
			return c
		}
	}
}

func pick(words []string) string {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
	if err != nil {
		panic(err) // never fails (crypto/rand)
	}
	return words[i.Int64()]
}

// known is the canary as what nothing that leaves may hold.
func (c canary) known() secret.Value { return secret.New("canary", c.value) }

// newCanary makes that of the run.
func (r *run) newCanary() canary {
	return newCanary(func(name string) bool {
		for _, v := range r.plan.Policy.Env {
			if v.Name == name {
				return true
			}
		}
		return false
	})
}
