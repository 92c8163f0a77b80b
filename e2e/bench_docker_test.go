package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/bot-bottle/action/backends/docker/dockertest"
)

// BenchmarkDocker measures whole jobs under Docker Engine, with runc and with runsc,
// each beside a bare `docker run --rm` of true in the same pass. The ratios are what
// counts: a bottle that is ready, and one that is proven, against a bare container.
func BenchmarkDocker(b *testing.B) {
	for name, o := range map[string]dockertest.Options{"runc": {}, "runsc": {Runtimes: runsc(b, bottleArguments...)}} {
		b.Run(name, func(b *testing.B) {
			engine := dockertest.Start(b, o)
			w := newWorld(b, false).with(engine)
			flags := append([]string{"--backend", "docker"}, w.container()...)
			bare := bareContainer(b, engine, name)
			w.timed(flags...) // the engine's image is made now
			bare()
			stages, passes := map[string][]time.Duration{}, 0
			for b.Loop() {
				passes++
				stages["bare docker run"] = append(stages["bare docker run"], bare())
				whole, report := w.timed(flags...)
				stages["whole run -- true"] = append(stages["whole run -- true"], whole)
				for _, s := range report.Stages {
					stages[s.Name] = append(stages[s.Name], s.Duration)
				}
				stages["launch to proof"] = append(stages["launch to proof"], report.duration("launch")+report.duration("prove"))
			}
			printMedians(b, stages)
			b.ReportMetric(ratio(stages["launch"], stages["bare docker run"]), "ready/bare")
			b.ReportMetric(ratio(stages["launch to proof"], stages["bare docker run"]), "proven/bare")
		})
	}
}

// ratio compares two medians.
func ratio(a, b []time.Duration) float64 { return float64(median(a)) / float64(median(b)) }

// bareContainer imports the least that docker needs to run the host's true, and
// gives what runs it once.
func bareContainer(b *testing.B, e *dockertest.Engine, runtime string) func() time.Duration {
	b.Helper()
	docker := func(stdin []byte, args ...string) []byte {
		b.Helper()
		cmd := exec.CommandContext(b.Context(), "docker", append([]string{"-H", "unix://" + e.Socket}, args...)...)
		cmd.Stdin = bytes.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("docker %v: %v\n%s", args, err, out)
		}
		return out
	}
	docker(tarOfLinks(b), "import", "-", "bare")
	return func() time.Duration {
		start := time.Now()
		docker(nil, "run", "--rm", "--runtime", runtime, "--network", "none", "-v", "/usr:/usr:ro", "bare", "/usr/bin/true")
		return time.Since(start)
	}
}

// tarOfLinks is a root that has nothing but the links into /usr.
func tarOfLinks(b *testing.B) []byte {
	b.Helper()
	const script = `d=$(mktemp -d) && cd "$d" && mkdir usr proc dev sys tmp && for l in bin lib lib64 sbin; do ln -s usr/$l $l; done && tar -c . && cd / && rm -r "$d"`
	out, err := exec.CommandContext(b.Context(), "sh", "-c", script).Output()
	if err != nil {
		b.Fatal(fmt.Errorf("making a root: %w", err))
	}
	return out
}
