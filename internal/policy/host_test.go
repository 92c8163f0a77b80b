package policy_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
)

func TestEverySpellingOfAHostBecomesOne(t *testing.T) {
	for raw, want := range map[string]string{
		"github.com":            "github.com",
		"Api.GitHub.COM.":       "api.github.com",
		"my_service.internal":   "my_service.internal",
		"r3---sn-4g5e.gvt1.com": "r3---sn-4g5e.gvt1.com",
		"xn--bcher-kva.example": "xn--bcher-kva.example",
		"localhost":             "localhost",
		"3com.com":              "3com.com",
		"0xg.example":           "0xg.example",

		"127.0.0.1":                "127.0.0.1",
		"127.0.0.1.":               "127.0.0.1",
		"127.1":                    "127.0.0.1",
		"127.0.1":                  "127.0.0.1",
		"2130706433":               "127.0.0.1",
		"0x7f000001":               "127.0.0.1",
		"0X7F.1":                   "127.0.0.1",
		"017700000001":             "127.0.0.1",
		"0177.0.0.01":              "127.0.0.1",
		"0":                        "0.0.0.0",
		"0xa9fea9fe":               "169.254.169.254",
		"169.254.43518":            "169.254.169.254",
		"[::1]":                    "::1",
		"::1":                      "::1",
		"0:0:0:0:0:0:0:1":          "::1",
		"[::FFFF:169.254.169.254]": "169.254.169.254",
		"::ffff:a9fe:a9fe":         "169.254.169.254",
		"[2001:DB8:0:0:1::1]":      "2001:db8::1:0:0:1",
		"00000000177.0.0.1":        "127.0.0.1", // leading zeros: octal all the way
	} {
		h, err := policy.CanonicalHost(raw)
		if err != nil || h.String() != want {
			t.Errorf("%q became %q, %v, not %q", raw, h, err, want)
		}
	}
}

func TestWhatIsNoHostIsRefused(t *testing.T) {
	for _, raw := range []string{
		"", ".", "..", "a..b", ".a", "a b", " a", "a ", "a\x00b", "a\nb", "a\x7fb", "a\tb",
		"github.com@evil.invalid", "user:pass@github.com", "evil.invalid#github.com", "github.com/evil",
		"github.com\\evil", "github.com?x", "git%68ub.com", "a,b", "a;b", "*.github.com", "*", "(a)", "a'b", `a"b`, "<a>", "a&b", "a$b", "a!b",
		"-a.com", "a-.com", "a.-b", "github.com..",
		"[github.com]", "[127.0.0.1]", "[::1", "::1]", "[::1]]", "[[::1]]", "[]", "[::1]x", "[fe80::1%eth0]", "fe80::1%25eth0", "fe80::1%1",
		"256.0.0.1", "1.2.3.4.5", "08.1.1.1", "0x", "1.0x", "0x1g.1", "1.2.3.0x100", "1..2", "4294967296", "0x100000000", "99999999999999999999", "1.+2", "1_0.1",
		"example.1", "example.0x1f", "example.09",
		strings.Repeat("a", 64) + ".com", strings.Repeat("a.", 127) + "com", strings.Repeat("a", 5000),
		"xn--a.b\xff.com",
	} {
		if h, err := policy.CanonicalHost(raw); err == nil {
			t.Errorf("%q was taken as %q", raw, h)
		}
	}
}

func TestAuthorityNeedsAPlainPort(t *testing.T) {
	for raw, want := range map[string]string{
		"github.com:443":   "github.com:443",
		"GitHub.com.":      "github.com:80",
		"[::1]:8443":       "[::1]:8443",
		"[::1]":            "[::1]:80",
		"127.1:65535":      "127.0.0.1:65535",
		"github.com:":      "",
		"github.com:0":     "",
		"github.com:65536": "",
		"github.com:0443":  "",
		"github.com:+443":  "",
		"github.com:4 3":   "",
		"github.com:4_4":   "",
		"github.com:0x1bb": "",
		"github.com:https": "",
		"a:1:2":            "",
		"::1":              "",
		"[::1":             "",
		":443":             "",
		"":                 "",
		"u@github.com:443": "",
		"u:443@github.com": "",
	} {
		h, port, err := policy.ParseAuthority(raw, 80)
		if err == nil && h.Authority(port) != want {
			t.Errorf("%q became %q, not %q", raw, h.Authority(port), want)
		}
		if err != nil && want != "" {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if _, _, err := policy.ParseAuthority("github.com", 0); err == nil {
		t.Error("an authority without port was taken where one is required")
	}
}

func TestAHostIsAnAddressOrAName(t *testing.T) {
	h, _ := policy.CanonicalHost("0x7f.1")
	if addr, ok := h.Addr(); !ok || addr.String() != "127.0.0.1" {
		t.Errorf("0x7f.1 has the address %v, %v", addr, ok)
	}
	h, _ = policy.CanonicalHost("example.com")
	if addr, ok := h.Addr(); ok {
		t.Errorf("example.com has the address %v", addr)
	}
	if h.IsZero() || !(policy.Host{}).IsZero() {
		t.Error("only the zero host is zero")
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, seed := range []string{"github.com", "0x7f.1", "[::ffff:1.2.3.4]", "a.b.", "1.2.3.4", "xn--bcher-kva.de", "u@h", "０x7f.１"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		h, err := policy.CanonicalHost(raw)
		if err != nil {
			return
		}
		again, err := policy.CanonicalHost(h.String())
		if err != nil || again != h {
			t.Fatalf("%q became %q, which becomes %q, %v", raw, h, again, err)
		}
		if s := h.String(); strings.ContainsAny(s, " @/\\#?%[]\x00\r\n") || strings.ToLower(s) != s || strings.HasSuffix(s, ".") {
			t.Fatalf("%q became %q", raw, h)
		}
		again, port, err := policy.ParseAuthority(h.Authority(443), 0)
		if err != nil || again != h || port != 443 {
			t.Fatalf("%q: its authority %q is read as %q, %d, %v", raw, h.Authority(443), again, port, err)
		}
	})
}
