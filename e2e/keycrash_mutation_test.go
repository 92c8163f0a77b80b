//go:build mutation

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/sshtest"
	"github.com/bot-bottle/action/runner/journal"

	"golang.org/x/crypto/ssh"
)

// landsIn is within which time a key lands, where these tests say when.
const landsIn = 4 * time.Second

// newCrashWorld is a keyWorld with somebody's own key, and with a supervisor that can be
// killed at any point.
func newCrashWorld(t *testing.T) *keyWorld {
	t.Parallel()
	w := newKeyWorld(t, "mutation")
	signer, _ := sshtest.NewSigner(t)
	w.forge.Put(7, "somebody's own", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), true)
	w.vars[journal.LandsVariable] = landsIn.String()
	return w
}

// settled reaps until nothing is owed, and sees that somebody's own key is all that is
// there.
func (w *keyWorld) settled() {
	w.t.Helper()
	var out string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var err error
		if out, err = w.verb(nil, "reap"); err == nil {
			break
		}
	}
	if left := w.forge.Held(7); len(left) != 1 || left[0].Title != "somebody's own" {
		w.t.Errorf("left: %+v\n%s", left, out)
	}
	w.nothingLeft()
}

func TestMutationASupervisorKilledAnywhereLeavesNoKey(t *testing.T) {
	for _, point := range journal.CrashPoints() {
		at := string(point) + "@" + deploykey.Kind
		if point == journal.BeforeClose || point == journal.AfterSettled {
			at = string(point)
		}
		t.Run(at, func(t *testing.T) {
			w := newCrashWorld(t)
			w.vars[journal.CrashVariable] = at
			if r := w.step("one", w.inputs("echo pushed")).do("main"); r.code != 128+9 {
				t.Fatalf("the supervisor was not killed: %s", r)
			}
			w.settled()
		})
	}
}

// The supervisor and its helper die while the forge has the request, which makes the key
// long after: after the first reap, and before the time by which it lands.
func TestMutationAKeyThatLandsAfterItsSenderDiedIsRemoved(t *testing.T) {
	for _, reapFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("a reap before it: %v", reapFirst), func(t *testing.T) {
			w := newCrashWorld(t)
			s := w.step("one", w.inputs("echo pushed"))
			cmd := s.command(t.Context(), "main")
			var once sync.Once
			w.forge.LoseNext(time.Hour)
			w.forge.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
				if r.Method == http.MethodPost {
					once.Do(func() { w.killSupervisor(cmd) })
				}
				return forgetest.Answer{}, false
			})
			w.must(cmd.Start())
			cmd.Wait()
			if n := len(w.forge.Held(7)); n != 1 || w.forge.Landing() != 1 {
				t.Fatalf("%d keys are there, %d to come", n, w.forge.Landing())
			}
			if reapFirst {
				if out, err := w.verb(nil, "reap"); err == nil {
					t.Errorf("it is seen absent, and owed no more: %s", out)
				}
			}
			w.forge.Advance(time.Hour)
			if len(w.forge.Held(7)) != 2 {
				t.Fatal("the key did not land")
			}
			w.settled()
		})
	}
}
