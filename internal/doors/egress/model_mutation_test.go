//go:build mutation

package egress

import (
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/mutation"
)

func TestMutationModelAnyLetsTheModelsProviderFetchForTheAgent(t *testing.T) {
	up, _ := bodies(t)
	w := open(t, up.route("api.anthropic.com", model()))
	attack := func() int {
		status, _ := w.do("POST", messagesURL, strings.NewReader(remoteMessage), asJSON)
		return status
	}
	if got := attack(); got != 403 {
		t.Errorf("with the defence it got %d", got)
	}
	switchOff(t, mutation.EgressModelAny)
	if got := attack(); got != 200 {
		t.Errorf("without the defence it got %d", got)
	}
}
