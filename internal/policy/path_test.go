package policy_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
)

func TestEverySpellingOfAPathBecomesOne(t *testing.T) {
	for raw, want := range map[string]string{
		"":                        "/",
		"/":                       "/",
		"/a/b":                    "/a/b",
		"/%61%2D%7e":              "/a-~",
		"/a%2fb":                  "/a%2Fb",
		"/v1/models/x%3agen":      "/v1/models/x:gen",
		"/%40scope%2fname":        "/@scope%2Fname",
		"/a%3bb":                  "/a%3Bb",
		"/a%2bb+c":                "/a%2Bb+c",
		"/a b":                    "/a%20b",
		"/\"<>^`{|}":              "/%22%3C%3E%5E%60%7B%7C%7D",
		"/b\u00fccher":            "/b%C3%BCcher",
		"/b%c3%bccher":            "/b%C3%BCcher",
		"/caf%e9":                 "/caf%E9",
		"/...":                    "/...",
		"/.git/config":            "/.git/config",
		"/a//b":                   "/a//b",
		"//a":                     "//a",
		"/a.":                     "/a.",
		"/%2525":                  "/%2525",
		"/100%25":                 "/100%25",
		"/!$&'()*+,;=:@-._~":      "/!$&'()*+,;=:@-._~",
		"/a;v=1/b":                "/a;v=1/b",
		"/%F0%9F%90%9E/%e0%a0%80": "/%F0%9F%90%9E/%E0%A0%80",
	} {
		got, err := policy.CanonicalPath(raw)
		if err != nil || got != want {
			t.Errorf("%q became %q, %v, not %q", raw, got, err, want)
		}
	}
}

func TestPathsThatTwoServersReadDifferentlyAreRefused(t *testing.T) {
	for _, raw := range []string{
		"a", "*", "http://x/",
		"/..", "/.", "/a/../b", "/a/./b", "/a/..", "/../",
		"/%2e%2e/b", "/%2E./b", "/.%2e/b", "/a/%2e",
		"/%252e%252e/b", "/%25252e%25252e/b", "/%%32e%%32e/b",
		"/a%2f..%2fb", "/a%2f%2e%2e", "/a%252f..%252fb", "/a%5c..%5cb", "/a%255c..", "/..%5cb", "/..%2fb",
		"/..;/b", "/..;x=1/b", "/.;/b", "/%2e%2e%3b/b", "/..%253bx/b",
		"/a\\b", "/a\\..\\b", "/a?b", "/a#b",
		"/a\x00", "/a%00", "/a\n", "/a%0a", "/a%0D", "/a\x7f", "/a%7f", "/\x1b",
		"/%", "/%4", "/%zz", "/%-1", "/%u002e",
		"/%c0%ae%c0%ae/", "/%c1%9c", "/%e0%80%ae/", "/%f0%80%80%ae/", "/%25c0%25ae/",
		"/" + strings.Repeat("%25", 1) + strings.Repeat("25", 20) + "2e",
	} {
		if got, err := policy.CanonicalPath(raw); err == nil {
			t.Errorf("%q was taken as %q", raw, got)
		}
	}
}

func TestPathsOfAnyLengthAreJudgedInLinearTime(t *testing.T) {
	const size = 1 << 20
	raw := "/%" + strings.Repeat("25", size/2) + "2e"
	if got, err := policy.CanonicalPath(raw); err == nil {
		t.Errorf("%d layers of encoding were taken as %.40q", size/2, got)
	}
}

func FuzzCanonicalPath(f *testing.F) {
	for _, seed := range []string{"/", "/a%2fb", "/%252e", "/..;/", "/a\\b", "/%c0%ae", "/b\xc3\xbc", "/%25%32%65"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := policy.CanonicalPath(raw)
		if err != nil {
			return
		}
		if again, err := policy.CanonicalPath(got); err != nil || again != got {
			t.Fatalf("%q became %q, which becomes %q, %v", raw, got, again, err)
		}
		u, err := url.ParseRequestURI("http://h" + got)
		if err != nil {
			t.Fatalf("%q became %q, which net/url refuses: %v", raw, got, err)
		}
		if u.EscapedPath() != got || u.RawQuery != "" {
			t.Fatalf("%q became %q, which net/url sends as %q", raw, got, u.EscapedPath())
		}
		decoded := strings.ReplaceAll(u.Path, "\\", "/")
		if clean := path.Clean(decoded); strings.Count(clean, "/") < strings.Count(strings.TrimRight(squeeze(decoded), "/"), "/") {
			t.Fatalf("%q became %q, of which a server makes %q", raw, got, clean)
		}
	})
}

// squeeze makes one slash of several, which path.Clean does as well.
func squeeze(s string) string {
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	return s
}
