// Command helper is what the tests of package confine run: the confining
// processes themselves, the caller of Start, and what is confined.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/confine"
)

func main() {
	var err error
	switch os.Args[1] {
	case confine.Verb:
		os.Exit(confine.Main(os.Args[2:]))
	case "start": // the caller: starts the spec on standard input and waits
		err = start()
	case "look":
		err = look()
	case "hog":
		hog()
	case "sleep":
		fmt.Println("asleep")
		time.Sleep(time.Hour)
	case "try":
		err = confine.Try(context.Background(), os.Args[2], 1_999_000_002)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start() error {
	var spec confine.Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return err
	}
	p, err := confine.Start(context.Background(), spec, confine.Options{
		Executable: "/proc/self/exe",
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		Recorded: func(r confine.Record) error {
			return json.NewEncoder(os.Stdout).Encode(r)
		},
	})
	if err != nil {
		return err
	}
	<-p.Done()
	return p.Err()
}

// Sight is what the confined process finds around it.
type Sight struct {
	UID         int
	Files       []string // below "/", without proc
	Descriptors []string
	Interfaces  []string
	Environ     []string
	CPUs        string
	Secret      string // content of /secret, or the error
	Wrote       string // error of writing to /bound/new
}

func look() error {
	s := Sight{UID: os.Getuid(), Environ: os.Environ()}
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		s.Files = append(s.Files, e.Name())
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil {
			s.Descriptors = append(s.Descriptors, fd.Name()+" "+target)
		}
	}
	list, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range list {
		s.Interfaces = append(s.Interfaces, i.Name)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			s.CPUs = strings.TrimSpace(list)
		}
	}
	if b, err := os.ReadFile("/secret"); err != nil {
		s.Secret = err.Error()
	} else {
		s.Secret = string(b)
	}
	if err := os.WriteFile("/bound/new", nil, 0o600); err != nil {
		s.Wrote = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

func hog() {
	kept := map[int][]byte{}
	for n := 0; ; n++ {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept[n] = block
	}
}
