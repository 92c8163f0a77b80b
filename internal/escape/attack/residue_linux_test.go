package attack

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What a case leaves is named: a file, a process, a listener. Other processes of
// this host come and go meanwhile.
func TestWhatACaseLeavesIsNamed(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	before := present()
	if err := os.WriteFile(home+"/left", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	now := present()
	for thing := range before {
		delete(now, thing)
	}
	if !now["file "+home+"/left"] || !now["process "+strconv.Itoa(cmd.Process.Pid)] {
		t.Errorf("got %v", now)
	}
	for _, kind := range []string{"tcp listener ", "udp socket "} {
		if !slices.ContainsFunc(keys(now), func(thing string) bool { return strings.HasPrefix(thing, kind) }) {
			t.Errorf("there is no %sin %v", kind, now)
		}
	}
}

func keys(t things) (list []string) {
	for thing := range t {
		list = append(list, thing)
	}
	return list
}
