//go:build mutation

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/mutation/defences"
	"github.com/bot-bottle/action/internal/testenv"
)

// Each defence has cases that notice when it is gone, and hold while it is there.
// With the proof off and a network in the guest, what is sent outside stays in a
// network of our own.
func TestMutationDefences(t *testing.T) {
	for _, d := range defences.Table() {
		if len(d.Cases) == 0 {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			testenv.InOutside(t, func() {
				w := newWorld(t, false, "mutation")
				w.mutate(d.Points...)
				cases := red(w.attacked(5, "--backend", "gvisor", "--case", strings.Join(d.Cases, ",")))
				for _, id := range d.Cases {
					if cases[id] == nil {
						t.Errorf("%s notices nothing: %v", id, cases)
					}
				}
			})
		})
	}
	t.Run("none is gone", func(t *testing.T) {
		testenv.InOutside(t, func() {
			w := newWorld(t, false, "mutation")
			if r := w.attacked(0, "--backend", "gvisor", "--case", strings.Join(everyCase(), ",")); !r.Held {
				t.Errorf("with every defence: %v", red(r))
			}
		})
	})
}

// everyCase lists the cases of the table.
func everyCase() (ids []string) {
	for _, d := range defences.Table() {
		ids = append(ids, d.Cases...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
