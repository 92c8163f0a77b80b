//go:build mutation

package doors_test

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/testenv"
)

// With the looking at users off, a process that no bottle's is gets an answer.
func TestMutationDoorAnyUserLetsAnybodyConnect(t *testing.T) {
	for _, off := range []bool{false, true} {
		if off {
			t.Setenv(mutation.Variable, string(mutation.DoorAnyUser))
		}
		w, o := newWorld(t)
		o.Executable = testenv.Binary(t, "./internal/helper", "mutation")
		w.start(o)
		c := config()
		c.Peers = []int{os.Getuid() + 1}
		w.configure(c)
		conn, err := w.dial(w.context(), decision.Egress)
		w.must(err)
		fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: x\r\n\r\n", doors.ProofPath, nonce) // may find it closed
		_, err = bufio.NewReader(conn).ReadByte()
		conn.Close()
		if (err == nil) != off {
			t.Errorf("switched off %v, and the answer: %v", off, err)
		}
	}
}
