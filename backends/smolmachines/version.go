package smolmachines

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Version is a release of smolvm.
type Version struct{ Major, Minor, Patch int }

// versionLine is all that `smolvm --version` prints; its number is the release's
// tag since 0.6.
var versionLine = regexp.MustCompile(`\Asmolvm ([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})\n\z`)

// ParseVersion reads what `smolvm --version` printed. Anything but the one exact
// line is an error: what calls itself otherwise was not read.
func ParseVersion(printed string) (Version, error) {
	m := versionLine.FindStringSubmatch(printed)
	if m == nil {
		return Version{}, fmt.Errorf("reading the version: %.60q is not \"smolvm X.Y.Z\"", printed)
	}
	var v Version
	for i, part := range []*int{&v.Major, &v.Minor, &v.Patch} {
		*part, _ = strconv.Atoi(m[i+1]) // one to four digits
	}
	return v, nil
}

// String gives X.Y.Z.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Compare orders releases as cmp.Compare does.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

func (v Version) atLeast(major, minor, patch int) bool {
	return v.Compare(Version{major, minor, patch}) >= 0
}
