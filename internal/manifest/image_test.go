package manifest_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
)

// images are the ways to write one, and what a bottle then says of it.
var images = map[string]struct {
	want  policy.Image
	shown string
}{
	"host-tools":                                {policy.Image{}, "image: host-tools"},
	"{rootfs: /srv/rootfs}":                     {policy.Image{Rootfs: "/srv/rootfs"}, "image:\n  rootfs: /srv/rootfs"},
	"{archive: /srv/odd-name}":                  {policy.Image{Archive: "/srv/odd-name"}, "image:\n  archive: /srv/odd-name"},
	"/srv/a.tar":                                {policy.Image{Archive: "/srv/a.tar"}, "image:\n  archive: /srv/a.tar"},
	"/srv/a.tar.gz":                             {policy.Image{Archive: "/srv/a.tar.gz"}, "image:\n  archive: /srv/a.tar.gz"},
	"/srv/a.tgz":                                {policy.Image{Archive: "/srv/a.tgz"}, "image:\n  archive: /srv/a.tgz"},
	"alpine:3.20":                               {policy.Image{Reference: "alpine:3.20"}, "image:\n  ref: alpine:3.20"},
	"\"ghcr.io/a/b:1\"":                         {policy.Image{Reference: "ghcr.io/a/b:1"}, "image:\n  ref: ghcr.io/a/b:1"},
	"{ref: alpine@sha256:" + zeros + "}":        {policy.Image{Reference: "alpine@sha256:" + zeros}, "image:\n  ref: alpine@sha256:" + zeros},
	"localhost:5000/tools@sha256:" + zeros + "": {policy.Image{Reference: "localhost:5000/tools@sha256:" + zeros}, "image:\n  ref: localhost:5000/tools@sha256:" + zeros},
}

var zeros = strings.Repeat("0", 64)

func TestAnImageIsWrittenInFewWaysAndShownInOne(t *testing.T) {
	for text, c := range images {
		b := bottle(t, "image: "+text)
		if got := b.Policy.Image; got.Rootfs != c.want.Rootfs || got.Archive != c.want.Archive || got.Reference != c.want.Reference {
			t.Errorf("%s is %+v", text, got)
		}
		yaml, err := manifest.YAML(b.Effective())
		if err != nil || !strings.Contains(yaml, c.shown+"\n") {
			t.Errorf("%s is shown as\n%s\n%v", text, yaml, err)
		}
		if again := bottle(t, yaml).Policy.Image; again.Source() != c.want.Source() {
			t.Errorf("%s, shown and read again, is %+v", text, again)
		}
	}
}

func TestAnImageIsReplacedWhole(t *testing.T) {
	eachWay(t, "image: {rootfs: /srv}", "image: alpine:3.20", func(t *testing.T, b manifest.Bottle) {
		if got := b.Policy.Image; got.Reference != "alpine:3.20" || got.Rootfs != "" {
			t.Errorf("the image is %+v", got)
		}
	})
	eachWay(t, "image: alpine:3.20", "image: {archive: /a.tar}", func(t *testing.T, b manifest.Bottle) {
		if got := b.Policy.Image; got.Archive != "/a.tar" || got.Reference != "" {
			t.Errorf("the image is %+v", got)
		}
	})
	eachWay(t, "image: alpine:3.20", "env: {A: a}", func(t *testing.T, b manifest.Bottle) {
		if b.Policy.Image.Reference != "alpine:3.20" {
			t.Errorf("the image is %+v", b.Policy.Image)
		}
	})
}
