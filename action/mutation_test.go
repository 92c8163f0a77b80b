//go:build mutation

package action

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/mutation"
)

func TestMutationAnybodyLetsAReaderStartAJob(t *testing.T) {
	eve := Person{User: forge.User{ID: 14, Login: "eve"}, Part: "wrote the comment"}
	access := forge.Access{User: forge.User{ID: 14, Login: "eve"}, Level: forge.LevelRead}
	if judgePerson(eve, access) == nil {
		t.Error("with the defence a reader may")
	}
	t.Setenv(mutation.Variable, string(mutation.TriggerAnybody))
	if err := judgePerson(eve, access); err != nil {
		t.Errorf("without the defence: %v", err)
	}
}

func TestMutationResultsUnscannedLetsASecretIntoTheThread(t *testing.T) {
	token := "ghp" + "_" + "9mKq2VxT7bNcY4sJd0RwEfGhLpZuAi3oX5v8"
	for _, on := range []bool{false, true} {
		if on {
			t.Setenv(mutation.Variable, string(mutation.ResultsUnscanned))
		}
		if got := public(t.Context(), "x = "+token); strings.Contains(got, token) != on {
			t.Errorf("switched off %v: %q", on, got)
		}
	}
}
