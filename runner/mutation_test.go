//go:build mutation

package runner

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
)

func TestMutationResultsUnscannedLetsASecretIntoTheLog(t *testing.T) {
	token := pat()
	for _, on := range []bool{false, true} {
		if on {
			t.Setenv(mutation.Variable, string(mutation.ResultsUnscanned))
		}
		if got := logged(t, nil, "x = "+token+"\n"); strings.Contains(got, token) != on {
			t.Errorf("switched off %v: %q", on, got)
		}
	}
}
