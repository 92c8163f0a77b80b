package backends

import (
	"strings"
	"testing"
)

func TestVerifyNamesEveryDifference(t *testing.T) {
	process := func(change func(*Process)) []Process {
		p := Process{Name: "vmm", UserID: 7, NoNewPrivs: true, Seccomp: true}
		if change != nil {
			change(&p)
		}
		return []Process{p}
	}
	wanted := Given{Processes: process(nil), Interfaces: []string{"lo"}, Shares: []Share{{"/", true}}, Sockets: []string{"a.sock"}, Settings: map[string]string{"mode": "none"}}
	with := func(change func(*Given)) Given {
		g := wanted
		change(&g)
		return g
	}
	if err := Verify(wanted, with(func(g *Given) { g.Processes = process(func(p *Process) { p.PID = 99 }) })); err != nil {
		t.Errorf("the same but for the process id: %v", err)
	}
	for want, given := range map[string]Given{
		"wanted 1, found 0":    with(func(g *Given) { g.Processes = nil }),
		`"vmm" is missing`:     with(func(g *Given) { g.Processes = process(func(p *Process) { p.Name = "x" }) }),
		"UserID:0":             with(func(g *Given) { g.Processes = process(func(p *Process) { p.UserID = 0 }) }),
		"NoNewPrivs:false":     with(func(g *Given) { g.Processes = process(func(p *Process) { p.NoNewPrivs = false }) }),
		"Seccomp:false":        with(func(g *Given) { g.Processes = process(func(p *Process) { p.Seccomp = false }) }),
		"HostNetwork:true":     with(func(g *Given) { g.Processes = process(func(p *Process) { p.HostNetwork = true }) }),
		"HostUsers:true":       with(func(g *Given) { g.Processes = process(func(p *Process) { p.HostUsers = true }) }),
		"HostProcesses:true":   with(func(g *Given) { g.Processes = process(func(p *Process) { p.HostProcesses = true }) }),
		"found [eth0 lo]":      with(func(g *Given) { g.Interfaces = []string{"eth0", "lo"} }),
		"ReadOnly:false":       with(func(g *Given) { g.Shares = []Share{{"/", false}} }),
		"Target:/etc":          with(func(g *Given) { g.Shares = []Share{{"/", true}, {"/etc", true}} }),
		`found "host"`:         with(func(g *Given) { g.Settings = map[string]string{"mode": "host"} }),
		`found ""`:             with(func(g *Given) { g.Settings = nil }),
		`wanted "", found "y"`: with(func(g *Given) { g.Settings = map[string]string{"mode": "none", "x": "y"} }),
		"found [a.sock b]":     with(func(g *Given) { g.Sockets = []string{"a.sock", "b"} }),
	} {
		if err := Verify(wanted, given); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("wanted %q, got %v", want, err)
		}
	}
}
