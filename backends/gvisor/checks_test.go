package gvisor

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bot-bottle/action/internal/policy"
)

func TestNamespaceRemedyNamesWhatStandsInTheWay(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for want, host := range map[string]fstest.MapFS{
		"max_user_namespaces":       {"proc/sys/user/max_user_namespaces": file("0\n")},
		"unprivileged_userns_clone": {"proc/sys/kernel/unprivileged_userns_clone": file("0\n")},
		"AppArmor":                  {"proc/sys/kernel/apparmor_restrict_unprivileged_userns": file("1\n")},
		"this is a container":       {".dockerenv": file("")},
		"see what forbids it":       {"proc/sys/user/max_user_namespaces": file("1000\n")},
	} {
		if got := namespaceRemedy(host, 1000, 1000); !strings.Contains(got, want) {
			t.Errorf("wanted %q, got %q", want, got)
		}
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	if got := namespaceRemedy(fstest.MapFS{}, 1000, 1000); !strings.Contains(got, "pod") {
		t.Errorf("got %q", got)
	}
}

func TestProcessorListIsRead(t *testing.T) {
	if got := cpuList("0-2,5\n"); len(got) != 4 || got[3] != 5 {
		t.Errorf("got %v", got)
	}
	if got := processors(1, 17); len(allowedProcessors()) > 1 && len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

func TestVirtualMachineIsNotPretended(t *testing.T) {
	if f := checkIsolation(policy.IsolationVM); f.Status != "fail" || f.Remedy == "" {
		t.Errorf("got %+v", f)
	}
}
