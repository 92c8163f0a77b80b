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
	holdsBack(t, mutation.EgressModelAny, attack, 403, 200)
}
