//go:build mutation

package neutralize_test

import (
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/neutralize"
)

func TestMutationOutputRawLetsACommandThrough(t *testing.T) {
	t.Setenv("BOT_BOTTLE_MUTATE", string(mutation.OutputRaw))
	got := neutralized(t, neutralize.Options{}, "::error::x\n")
	if _, found := commandIn(got); !found {
		t.Errorf("%q holds no command", got)
	}
}
