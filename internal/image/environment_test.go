package image

import (
	"slices"
	"strings"
	"testing"
)

func TestOnlyHarmlessVariablesOfAnImageAreGiven(t *testing.T) {
	var many []string
	for i := range 100 {
		many = append(many, "/"+strings.Repeat("a", i+1))
	}
	for what, c := range map[string]struct{ image, want []string }{
		"nothing":            {nil, nil},
		"the usual":          {[]string{"PATH=/usr/local/go/bin:/usr/bin", "GOPATH=/go", "LANG=C.UTF-8", "TZ=Europe/Berlin"}, []string{"LANG=C.UTF-8", "PATH=/usr/local/go/bin:/usr/bin", "TZ=Europe/Berlin"}},
		"what is used":       {[]string{"HTTPS_PROXY=http://evil.invalid", "LD_PRELOAD=/x.so", "NODE_OPTIONS=--require /x", "GIT_SSH_COMMAND=x", "BASH_ENV=/x", "HOME=/", "TOKEN=1", "path=/x"}, nil},
		"odd folders":        {[]string{"PATH=:.:bin:/ok:/a b:/x\n:/ü:../x:/ok:/ok/"}, []string{"PATH=/ok"}},
		"folders with dots":  {[]string{"PATH=/a/../b://c/"}, []string{"PATH=/b:/c"}},
		"no folder at all":   {[]string{"PATH=bin:."}, nil},
		"the last of a name": {[]string{"PATH=/a", "PATH=/b"}, []string{"PATH=/b"}},
		"too long a path":    {[]string{"PATH=/" + strings.Repeat("a", maxPathBytes)}, nil},
		"too many folders":   {[]string{"PATH=" + strings.Join(many, ":")[:4000]}, nil},
		"an odd locale":      {[]string{"LANG=$(id)", "LC_ALL=a b", "LANGUAGE=" + strings.Repeat("a", 65), "TZ="}, nil},
		"no variables":       {[]string{"", "=", "PATH", "LANG"}, nil},
	} {
		got := environment(c.image)
		if what == "too many folders" {
			if folders := strings.Count(strings.Join(got, ""), ":") + 1; folders != maxPathFolders {
				t.Errorf("%s: %d", what, folders)
			}
			continue
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", what, got)
		}
	}
}
