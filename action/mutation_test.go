//go:build mutation

package action

import (
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
