//go:build mutation

package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/testenv"
)

// mutated runs an agent that says so, with the points switched off.
func mutated(t *testing.T, points, script string) result {
	t.Helper()
	w := newWorld(t, false, "mutation")
	w.env = []string{"BOT_BOTTLE_MUTATE=" + points}
	return w.run("run", "--", "bash", "-c", "echo the agent ran; "+script)
}

func TestMutationGuestWithANetworkIsNotStarted(t *testing.T) {
	testenv.InOwnNetwork(t, func() {
		for _, c := range []struct{ points, why string }{
			{"guest-network", "HostNetwork:true"},                     // what it was given is read
			{"guest-network,given-unread", "proving the confinement"}, // what it can do is tried
		} {
			r := mutated(t, c.points, "")
			if r.code != 4 || strings.Contains(r.stdout, "the agent ran") || !strings.Contains(r.stderr, c.why) {
				t.Errorf("%s: wanted exit code 4 and %q: %s", c.points, c.why, r)
			}
		}
	})
}

func TestMutationWithoutTheNegativeProofTheNetworkIsThere(t *testing.T) {
	testenv.InOwnNetwork(t, func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		got := make(chan string, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				got <- err.Error()
				return
			}
			b, _ := io.ReadAll(c)
			got <- string(b)
		}()
		r := mutated(t, "guest-network,given-unread,proof-negative,proof-positive",
			fmt.Sprintf("echo leaked > /dev/tcp/127.0.0.1/%d", l.Addr().(*net.TCPAddr).Port))
		l.Close()
		if text := <-got; text != "leaked\n" {
			t.Errorf("the attack did not succeed with the proof switched off (%q), so that the proof is not what holds: %s", text, r)
		}
	})
}

// A door that answers and doesn't say that it saw the nonce may be anybody's.
func TestMutationWithoutThePositiveProofADeafDoorIsNotSeen(t *testing.T) {
	if r := mutated(t, "door-deaf", ""); r.code != 4 || strings.Contains(r.stdout, "the agent ran") {
		t.Errorf("wanted exit code 4: %s", r)
	}
	if r := mutated(t, "door-deaf,proof-positive", ""); r.code != 0 || !strings.Contains(r.stdout, "the agent ran") {
		t.Errorf("with the defence off something else holds it: %s", r)
	}
}

func TestMutationOneMoreSocketIsSeen(t *testing.T) {
	for _, c := range []struct{ points, why string }{
		{"guest-socket", "comparing the guest's sockets"},
		{"guest-socket,given-unread", "another.sock"},
	} {
		r := mutated(t, c.points, "")
		if r.code != 4 || strings.Contains(r.stdout, "the agent ran") || !strings.Contains(r.stderr, c.why) {
			t.Errorf("%s: wanted exit code 4 and %q: %s", c.points, c.why, r)
		}
	}
	if r := mutated(t, "guest-socket,given-unread,proof-negative", ""); r.code != 0 || !strings.Contains(r.stdout, "the agent ran") {
		t.Errorf("with both defences off the agent does not run, so that something else holds it: %s", r)
	}
}
