package runner

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/image"
	"github.com/rs/zerolog"
)

func TestAJobOfARunnerPullsWithNothingThatItCouldHaveNamed(t *testing.T) {
	own := image.Registries{Credentials: "/home/u/.docker/config.json", Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
	host := image.Registries{Credentials: "/etc/bot-bottle/registries.json", OnlyRoot: true}
	for _, c := range []struct {
		what   string
		runner bool
		given  image.Registries
		want   string
		proxy  bool
	}{
		{"a user, with the user's own", false, own, own.Credentials, true},
		{"a job, with the host's", true, host, host.Credentials, false},
		{"a job, with a user's", true, own, "", false},
	} {
		r := &run{plan: Plan{UnderRunner: c.runner}, deps: Deps{Registries: c.given}}
		if got := r.registries(); got.Credentials != c.want || (got.Proxy != nil) != c.proxy {
			t.Errorf("%s: %+v", c.what, got)
		}
	}
}

// told is a Progress that keeps what it is told.
type told struct{ lines []string }

func (t *told) Begin(string)                    {}
func (t *told) End(string, time.Duration, bool) {}
func (t *told) Tell(line string)                { t.lines = append(t.lines, line) }

func TestWhoWaitsForAnImageHearsOfItNowAndThen(t *testing.T) {
	progress := &told{}
	r := &run{deps: Deps{Progress: progress, Log: zerolog.Nop()}}
	r.tellUnpacked("tools:1", time.Hour)(1 << 20)
	if len(progress.lines) != 0 {
		t.Errorf("it was told %q at once", progress.lines)
	}
	r.tellUnpacked("tools:1", 0)(3 << 20)
	if want := []string{"unpacking tools:1: 3 MiB by now"}; !slices.Equal(progress.lines, want) {
		t.Errorf("it was told %q", progress.lines)
	}
}
