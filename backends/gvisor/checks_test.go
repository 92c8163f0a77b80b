package gvisor

import (
	"testing"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/preflight"
)

func TestProcessorListIsRead(t *testing.T) {
	if got := cpuList("0-2,5\n"); len(got) != 4 || got[3] != 5 {
		t.Errorf("got %v", got)
	}
	if got := processors(1, 17); len(allowedProcessors()) > 1 && len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

func TestVirtualMachineIsNotPretended(t *testing.T) {
	if f := checkIsolation(preflight.ThisHost(), policy.IsolationVM); f.Status != "fail" || f.Remedy == "" {
		t.Errorf("got %+v", f)
	}
}
