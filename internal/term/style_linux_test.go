package term_test

import (
	"os"
	"testing"

	"github.com/bot-bottle/action/internal/term"
)

func TestATerminalIsPaintedUnlessItIsDumbOrNobodyWantsIt(t *testing.T) {
	// The controlling side of a pseudo-terminal is a terminal itself (pts(4)).
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	for want, env := range map[bool][][]string{
		true:  {{}, {"TERM=xterm-256color"}, {"NO_COLOR="}},
		false: {{"TERM=dumb"}, {"NO_COLOR=1"}, {"NO_COLOR=1", "CLICOLOR_FORCE=1"}},
	} {
		for _, e := range env {
			if got := term.Colour(tty, environment(e...)); got != want {
				t.Errorf("with %q Colour = %v, want %v", e, got, want)
			}
		}
	}
}
