package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
)

// Main is the hidden verb "guest" inside the guest: init [--power-off], untar DIR,
// or probe, which is run by the function given. It gives the exit code.
func Main(args []string, probe func() int) int {
	var err error
	switch {
	case slices.Equal(args, []string{"init"}):
		err = Init(context.Background(), InitOptions{Control: ControlSocket})
	case slices.Equal(args, []string{"init", "--power-off"}):
		err = Init(context.Background(), InitOptions{Control: ControlSocket, PowerOff: true})
	case len(args) == 2 && args[0] == "untar":
		err = Untar(os.Stdin, args[1])
	case slices.Equal(args, []string{"probe"}):
		return probe()
	default:
		err = errors.New("reading arguments: guest is started by bot-bottle itself, in a guest")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
