package policy_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
)

var digest = "sha256:" + strings.Repeat("0a", 32)

func TestAReferenceSaysWhichImageItMeans(t *testing.T) {
	for _, ref := range []string{
		"alpine:3.20", "library/alpine:3.20", "alpine@" + digest, "alpine:3.20@" + digest, "ghcr.io/owner/tools:v1", "ghcr.io/owner/tools@" + digest,
		"localhost/tools:1", "localhost:5000/tools:1", "127.0.0.1:5000/a/b/c:1", "[::1]:5000/tools:1", "Registry.Example:443/a__b/c.d-e--f:V1.0_x",
	} {
		if err := policy.CheckReference(ref); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for ref, want := range map[string]string{
		"":                                   "not the name of an image",
		"alpine":                             "neither a tag nor a digest",
		"ghcr.io/owner/tools":                "neither a tag nor a digest",
		"localhost:5000/tools":               "neither a tag nor a digest",
		"alpine:":                            "not a tag",
		"alpine:-1":                          "not a tag",
		"alpine:" + strings.Repeat("a", 129): "not a tag",
		"alpine@sha256:0a":                   "64 digits",
		"alpine@sha512:" + strings.Repeat("0a", 32): "64 digits",
		"alpine@" + digest + "@" + digest:           "64 digits",
		"alpine@" + strings.ToUpper(digest):         "64 digits",
		"Alpine:1":                                  "not the name of an image",
		"a:1":                                       "not the name of an image",
		"a//b:1":                                    "not the name of an image",
		"../x:1":                                    "not the name of a registry",
		"a/../b:1":                                  "not the name of an image",
		"/a/b:1":                                    "not the name of an image",
		"https://ghcr.io/a/b:1":                     "not the name of a registry",
		"user@ghcr.io/a/b:1":                        "64 digits",
		"ghcr.io?x/a:1":                             "not the name of a registry",
		"gh cr.io/a:1":                              "not the name of a registry",
		"al pine:1":                                 "not the name of an image",
		"alpine:1\n":                                "not a tag",
		"x/" + strings.Repeat("a", 300) + ":1":      "not the name of an image",
		strings.Repeat("a", 2000):                   "more than 1024 bytes",
	} {
		if err := policy.CheckReference(ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: wanted an error about %q, got %v", ref, want, err)
		}
	}
}

func TestAnImageHasOneSource(t *testing.T) {
	for want, image := range map[string]policy.Image{
		"image: it is made from one":      {Rootfs: "/a", Archive: "/b.tar"},
		"image: it is made from one of":   {Archive: "/b.tar", Reference: "alpine:3.20"},
		"image.archive: \"b.tar\" is not": {Archive: "b.tar"},
		"image.archive: \"/a/../b\"":      {Archive: "/a/../b"},
		"image.ref: it has neither":       {Reference: "alpine"},
	} {
		err := policy.Policy{Epoch: 1, Isolation: policy.IsolationGVisor, Image: image}.Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: wanted %q, got %v", image, want, err)
		}
	}
	for source, image := range map[string]policy.Image{
		"": {}, "/a": {Rootfs: "/a"}, "/b.tar": {Archive: "/b.tar"}, "alpine:3.20": {Reference: "alpine:3.20"},
	} {
		if err := (policy.Policy{Epoch: 1, Isolation: policy.IsolationGVisor, Image: image}).Validate(); err != nil || image.Source() != source {
			t.Errorf("%+v: %q, %v", image, image.Source(), err)
		}
		if image.Packed() != (image.Archive+image.Reference != "") {
			t.Errorf("%+v: packed is %v", image, image.Packed())
		}
	}
}
