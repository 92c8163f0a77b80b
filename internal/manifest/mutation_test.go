//go:build mutation

package manifest_test

import (
	"testing"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/mutation"
)

func TestMutationAnyJobGivesOneRepositorysBottleToAnother(t *testing.T) {
	b := bottle(t, "for: {repositories: [acme/web]}")
	stranger := manifest.Job{Repository: "evil/web", Event: "push", Ref: "refs/heads/main"}
	if err := b.CheckFor(stranger); err == nil {
		t.Error("with the defence the bottle serves a stranger")
	}
	t.Setenv(mutation.Variable, string(mutation.BottleAnyJob))
	if err := b.CheckFor(stranger); err != nil {
		t.Errorf("without the defence: %v", err)
	}
}
