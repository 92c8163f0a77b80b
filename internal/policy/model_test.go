package policy_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
)

func TestModelsAndProgramsAreChecked(t *testing.T) {
	with := func(m *policy.ModelAPI, programs ...policy.Program) policy.Policy {
		return policy.Policy{
			Epoch: 1, Isolation: policy.IsolationGVisor, Image: policy.Image{Programs: programs},
			Egress: policy.Egress{Routes: []policy.Route{{Host: "api.example.com", Port: 443, Model: m}}},
		}
	}
	cli := policy.Program{Host: "/usr/lib/cli", Guest: "/opt/bot-bottle/agents/cli"}
	good := with(&policy.ModelAPI{Wire: policy.WireOpenAI, Allow: []string{"web_search", "beta:x-2025-01-01"}}, cli, policy.Program{Host: "/x/node", Guest: "/opt/bot-bottle/agents/node"})
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, p := range map[string]policy.Policy{
		"egress.routes[0].model.wire":     with(&policy.ModelAPI{Wire: "other"}),
		"egress.routes[0].model.allow[0]": with(&policy.ModelAPI{Wire: policy.WireGemini, Allow: []string{"a b"}}),
		"image.programs[0].host":          with(nil, policy.Program{Host: "usr/lib", Guest: cli.Guest}),
		"the whole host":                  with(nil, policy.Program{Host: "/", Guest: cli.Guest}),
		"image.programs[0].guest":         with(nil, policy.Program{Host: "/usr/lib/cli", Guest: "/usr/bin/sh"}),
		"dot segments":                    with(nil, policy.Program{Host: "/usr/lib/cli", Guest: "/opt/bot-bottle/agents/../../../usr"}),
		"image.programs[1].guest":         with(nil, cli, policy.Program{Host: "/x", Guest: cli.Guest + "/bin"}),
	} {
		err := p.Validate()
		if err == nil || strings.HasPrefix(want, "image") && !strings.Contains(err.Error(), want) || strings.HasPrefix(want, "egress") && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
