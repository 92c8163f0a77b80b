package guest

import (
	"context"
	"fmt"
	"os"
)

// Main is the hidden verb "guest" inside the guest: init, untar DIR, or probe,
// which is run by the function given. It gives the exit code.
func Main(args []string, probe func() int) int {
	var err error
	switch {
	case len(args) == 1 && args[0] == "init":
		err = Init(context.Background(), ControlSocket)
	case len(args) == 2 && args[0] == "untar":
		err = Untar(os.Stdin, args[1])
	case len(args) == 1 && args[0] == "probe":
		return probe()
	default:
		err = fmt.Errorf("guest is started by bot-bottle itself, in a guest")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
