package manifest_test

import (
	"reflect"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
)

// What a route says of DLP is what it means, and is shown so that it reads the same.
func TestWhatARouteLooksForIsReadAndShown(t *testing.T) {
	for said, want := range map[string]*policy.DLP{
		"":        nil,
		"dlp: {}": {},
		"dlp: {outbound_detectors: false, outbound_on_match: block}":            {Off: policy.Detectors, OnMatch: policy.OnMatchBlock},
		"dlp: {outbound_detectors: [known_secrets]}":                            {Off: []string{policy.DetectorPatterns}},
		"dlp: {outbound_on_match: redact}":                                      {OnMatch: policy.OnMatchRedact},
		"dlp: {outbound_detectors: [entropy]}":                                  {Off: policy.Detectors, Entropy: true},
		"dlp: {outbound_detectors: [known_secrets, token_patterns, entropy]}":   {Entropy: true},
		"dlp: {inbound_detectors: false}":                                       {Off: []string{policy.DetectorInjection}},
		"dlp: {inbound_detectors: [naive_injection_detection]}":                 {},
		"dlp: {inbound_detectors: false, outbound_detectors: [token_patterns]}": {Off: []string{policy.DetectorKnown, policy.DetectorInjection}},
	} {
		b := bottle(t, "egress:\n  routes:\n    - host: a.example\n      "+said+"\n")
		if got := b.Policy.Egress.Routes[0].DLP; !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %+v", said, got)
		}
		yaml, err := manifest.YAML(b.Effective())
		if err != nil {
			t.Fatal(err)
		}
		if again := bottle(t, yaml); !reflect.DeepEqual(again.Policy.Egress.Routes[0].DLP, want) {
			t.Errorf("%q is shown as\n%s", said, yaml)
		}
	}
}
