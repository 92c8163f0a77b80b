package guestroot

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
)

func TestProgramsAreBoundOneByOne(t *testing.T) {
	root := tree(t, "pkg/bin/cli", "node")
	entries, err := appendPrograms(nil, []policy.Program{
		{Host: filepath.Join(root, "pkg"), Guest: "/opt/bot-bottle/agents/cli"},
		{Host: filepath.Join(root, "node"), Guest: "/opt/bot-bottle/agents/node"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := targets(entries, KindBind); got != "/opt/bot-bottle/agents/cli /opt/bot-bottle/agents/node" {
		t.Errorf("binds %q", got)
	}
	for _, e := range entries {
		if e.Kind != KindBind || e.Source == "" {
			t.Errorf("%+v is no bind", e)
		}
	}
}

func TestProgramsThatAreNoneAreRefused(t *testing.T) {
	root := tree(t, "pkg/bin/cli", "link -> pkg", "sock/")
	l, err := net.Listen("unix", filepath.Join(root, "sock/s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, want := range map[string]string{"absent": "no such file", "link": "neither a folder nor a file", "sock": "is a socket"} {
		_, err := appendPrograms(nil, []policy.Program{{Host: filepath.Join(root, name), Guest: "/opt/bot-bottle/agents/x"}})
		if err == nil || !strings.Contains(err.Error(), want) || len(term.Hints(err)) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProgramsOfTheHostDontGoIntoAnImage(t *testing.T) {
	root := tree(t, "bin/sh", "pkg/cli")
	s := backends.Spec{Alias: netip.MustParseAddr("127.0.0.16"), Image: policy.Image{
		Rootfs: root, Programs: []policy.Program{{Host: filepath.Join(root, "pkg"), Guest: "/opt/bot-bottle/agents/cli"}},
	}}
	if _, err := Entries(s); err == nil || len(term.Hints(err)) == 0 {
		t.Errorf("got %v", err)
	}
}
