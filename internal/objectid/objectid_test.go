package objectid

import (
	"strings"
	"testing"
)

func TestWholeIDsAreHexOfEitherHash(t *testing.T) {
	for text, is := range map[string]bool{
		strings.Repeat("a", 40): true, strings.Repeat("0", 64): true,
		"": false, strings.Repeat("a", 39): false, strings.Repeat("a", 41): false, strings.Repeat("A", 40): false,
		strings.Repeat("g", 40): false, strings.Repeat("a", 40) + "\n": false, "-" + strings.Repeat("a", 39): false,
	} {
		if Is(text) != is {
			t.Errorf("%q: %v", text, !is)
		}
	}
}
