// Smolvm is the double of smolvm: see package smolvmtest.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bot-bottle/action/internal/smolvmtest"
)

// world is one call of the double.
type world struct {
	config  smolvmtest.Config
	release smolvmtest.Release
	home    string
}

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "Error: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// usage is how clap ends where the arguments are wrong.
const usage = 2

func run(args []string) (int, error) {
	libraries := os.Getenv("SMOLVM_LIB_DIR")
	if libraries == "" {
		exe, err := os.Executable()
		if err != nil {
			return 1, err
		}
		libraries = filepath.Join(filepath.Dir(exe), "../lib")
	}
	config, err := smolvmtest.ReadConfig(libraries)
	if err != nil {
		return 1, err
	}
	release, err := smolvmtest.ReleaseOf(config.Version)
	if err != nil {
		return 1, err
	}
	w := &world{config: config, release: release, home: os.Getenv("HOME")}
	if dir := os.Getenv("SMOLVM_DATA_DIR"); dir != "" && release.DataDir {
		w.home = dir
	}
	return w.command(args)
}

func (w *world) command(args []string) (int, error) {
	if len(args) == 1 && args[0] == "--version" {
		return w.version()
	}
	if len(args) == 2 && args[0] == "_boot-vm" {
		return 1, w.boot(args[1])
	}
	verbs := map[string]func([]string) (int, error){
		"create": w.create, "start": w.start, "exec": w.exec, "stop": w.stop, "delete": w.delete, "status": w.status, "ls": w.ls,
	}
	if w.release.EgressEvents {
		verbs["egress-events"] = w.egressEvents
	}
	if len(args) < 2 || args[0] != "machine" || verbs[args[1]] == nil {
		return usage, fmt.Errorf("unrecognized subcommand %q", args)
	}
	return verbs[args[1]](args[2:])
}

func (w *world) version() (int, error) {
	switch {
	case w.config.Does(smolvmtest.VersionHangs):
		time.Sleep(time.Hour) // longer than anybody waits
	case w.config.Does(smolvmtest.VersionGarbage):
		fmt.Println("SmolVM release 1.9.3 (\x1b[31mcustom\x1b[0m)")
	default:
		fmt.Printf("smolvm %s\n", w.config.Version)
	}
	return 0, nil
}
