package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
)

// Main is the hidden verb "guest" inside the guest: init [--power-off], untar DIR,
// or one of the others, which are run by the function of that name. It gives the
// exit code.
func Main(args []string, others map[string]func() int) int {
	var err error
	switch {
	case slices.Equal(args, []string{"init"}):
		err = Init(context.Background(), InitOptions{Control: ControlSocket})
	case slices.Equal(args, []string{"init", "--power-off"}):
		err = Init(context.Background(), InitOptions{Control: ControlSocket, PowerOff: true})
	case len(args) == 2 && args[0] == "untar":
		err = Untar(os.Stdin, args[1])
	case len(args) == 1 && others[args[0]] != nil:
		return others[args[0]]()
	default:
		err = errors.New("reading arguments: guest is started by bot-bottle itself, in a guest")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
