//go:build mutation

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/testenv"
	"golang.org/x/sys/unix"
)

// inOwnNetwork runs do in a network namespace that has a loopback and nothing
// else: the "host network" that a mutated guest is given there leads nowhere.
func inOwnNetwork(t *testing.T, do func()) {
	t.Helper()
	if os.Getuid() != 0 {
		testenv.Skip(t, "making a network namespace for this test needs root")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = loopbackUp()
		}
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_LOOPBACK)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// mutated runs an agent that says so, with the points switched off.
func mutated(t *testing.T, points, script string) result {
	t.Helper()
	w := newWorld(t, false, "mutation")
	w.env = []string{"BOT_BOTTLE_MUTATE=" + points}
	return w.run("run", "--", "bash", "-c", "echo the agent ran; "+script)
}

func TestMutationGuestWithANetworkIsNotStarted(t *testing.T) {
	inOwnNetwork(t, func() {
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
	inOwnNetwork(t, func() {
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
