package image

import (
	"fmt"
	"strings"
	"testing"
)

func TestOfAnImagesVariablesOnlyFoldersOfItsPathCount(t *testing.T) {
	var many []string
	for i := range maxPathFolders + 1 {
		many = append(many, fmt.Sprintf("/%d", i))
	}
	for what, c := range map[string]struct {
		env  []string
		want string
	}{
		"nothing":            {nil, ""},
		"the usual":          {[]string{"LANG=C", "PATH=/usr/local/go/bin:/usr/bin", "GOPATH=/go"}, "/usr/local/go/bin:/usr/bin"},
		"odd folders":        {[]string{"PATH=:.:bin:/ok:/a b:/x\n:/ü:../x:/ok:/ok/"}, "/ok"},
		"folders with dots":  {[]string{"PATH=/a/../b://c/"}, "/b:/c"},
		"no folder at all":   {[]string{"PATH=bin:."}, ""},
		"the last of a name": {[]string{"PATH=/a", "PATH=/b"}, "/b"},
		"too long a path":    {[]string{"PATH=/" + strings.Repeat("a", maxPathBytes)}, ""},
		"too many folders":   {[]string{"PATH=" + strings.Join(many, ":")}, strings.Join(many[:maxPathFolders], ":")},
		"no variables":       {[]string{"", "=", "PATH", "path=/a", "XPATH=/b"}, ""},
	} {
		if got := searchPath(c.env); got != c.want {
			t.Errorf("%s: %q", what, got)
		}
	}
}
