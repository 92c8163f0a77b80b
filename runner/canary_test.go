package runner

import (
	"regexp"
	"testing"
)

func TestEachCanaryIsAnother(t *testing.T) {
	form := regexp.MustCompile(`^[A-Z]+_[A-Z]+_SECRET$`)
	values, taken := map[string]bool{}, 0
	for range 100 {
		c := newCanary(func(string) bool { taken++; return taken%2 == 1 })
		if !form.MatchString(c.name) || len(c.value) != 32 || values[c.value] {
			t.Errorf("got %+v", c)
		}
		values[c.value] = true
	}
	if taken != 200 {
		t.Errorf("it was asked %d times whether a name is taken, wanted 200", taken)
	}
}
