package policy_test

import (
	"testing"

	"github.com/bot-bottle/action/internal/policy"
)

func TestUnicodeIsMappedBeforeItIsLookedAt(t *testing.T) {
	for raw, want := range map[string]string{
		"Bücher.example":    "xn--bcher-kva.example",
		"ｇｉｔｈｕｂ.ｃｏｍ":        "github.com",
		"github。com":        "github.com",
		"faß.de":            "xn--fa-hia.de", // not "fass.de": the mapping is not transitional
		"①②⑦.⓪.⓪.①":         "127.0.0.1",
		"０x7f.１":            "127.0.0.1",
		"git\u200bhub.com":  "github.com",
		"XN--BCHER-KVA.de":  "xn--bcher-kva.de",
		"kelvin\u212a.test": "kelvink.test",
		"１６９.２５４.１６９.２５４":   "169.254.169.254",
	} {
		h, err := policy.CanonicalHost(raw)
		if err != nil || h.String() != want {
			t.Errorf("%q became %q, %v, not %q", raw, h, err, want)
		}
	}
	for _, raw := range []string{
		"github.com\uff20evil.invalid", "evil.invalid\uff03github.com", "github.com\uff0fevil", "a\u2100b", // map to @ # / a/c
		"xn--", "xn--a-.com", "xn--github-.com", "xn--80ak6aa92e\u0301.com", "\u00c0_\x80", "a\xff.com", "\u0301a.com", "a\u202eb.com",
	} {
		if h, err := policy.CanonicalHost(raw); err == nil {
			t.Errorf("%q was taken as %q", raw, h)
		}
	}
}
