package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/testenv"
)

// BenchmarkJob measures whole jobs of `run -- true` as an ordinary user, with the
// stages that the report gives, each beside a bare `runsc run` of the same binary
// in the same pass. Medians are printed, because the mean of a noisy host says
// little.
func BenchmarkJob(b *testing.B) {
	w := benchWorld(b)
	bundle := w.bareBundle()
	stages := map[string][]time.Duration{}
	w.timed() // warm
	for b.Loop() {
		stages["bare runsc run"] = append(stages["bare runsc run"], w.timedBare(bundle))
		whole, report := w.timed()
		stages["whole run -- true"] = append(stages["whole run -- true"], whole)
		for _, s := range report.Stages {
			stages[s.Name] = append(stages[s.Name], s.Duration)
		}
		stages["launch to proof"] = append(stages["launch to proof"], report.duration("launch")+report.duration("prove"))
	}
	printMedians(b, stages)
}

// BenchmarkSixteenAtOnce measures sixteen jobs that are started together.
func BenchmarkSixteenAtOnce(b *testing.B) {
	w := benchWorld(b)
	w.timed()
	all := map[string][]time.Duration{}
	for b.Loop() {
		var wg sync.WaitGroup
		start := time.Now()
		for range 16 {
			wg.Go(func() { w.timed() })
		}
		wg.Wait()
		all["sixteen runs at once"] = append(all["sixteen runs at once"], time.Since(start))
	}
	printMedians(b, all)
}

// BenchmarkMemory measures the peak of each process of a job while it runs.
func BenchmarkMemory(b *testing.B) {
	w := benchWorld(b)
	peaks := map[string]int{}
	for b.Loop() {
		cmd := w.command(b.Context(), "run", "--quiet", "--", "sh", "-c", "echo up; sleep 1")
		w.during(cmd, func() {
			for _, p := range processesWith("") {
				var pid int
				if _, err := parse(p, &pid); err == nil && descends(pid, cmd.Process.Pid) {
					name := roleOf(p)
					peaks[name] = max(peaks[name], peakKiB(pid))
				}
			}
		})
	}
	for name, kib := range peaks {
		b.ReportMetric(float64(kib)/1024, "MiB-"+name)
	}
}

// roleOf names a process of a job by its command line.
func roleOf(line string) string {
	for _, word := range []string{"sidecar", "runsc-sandbox", "runsc-gofer", "confine", "runsc"} {
		if strings.Contains(line, word) {
			return word
		}
	}
	return "supervisor"
}

// peakKiB reads VmHWM of /proc/PID/status (proc(5)).
func peakKiB(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	n, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
	return n
}

func benchWorld(b *testing.B) *world {
	b.Helper()
	return newWorld(b, true)
}

type stageReport struct {
	Stages []struct {
		Name     string
		Duration time.Duration `json:"duration_ns"`
	}
}

func (r stageReport) duration(name string) (sum time.Duration) {
	for _, s := range r.Stages {
		if s.Name == name {
			sum += s.Duration
		}
	}
	return sum
}

// timed runs `run -- true` with the flags and gives its report.
func (w *world) timed(flags ...string) (time.Duration, stageReport) {
	w.t.Helper()
	start := time.Now()
	r := w.run(slices.Concat([]string{"run", "--json"}, flags, []string{"--", "true"})...)
	took := time.Since(start)
	var report stageReport
	if err := json.Unmarshal([]byte(r.stdout), &report); r.code != 0 || err != nil {
		w.t.Fatalf("%v %s", err, r)
	}
	return took, report
}

// bareBundle is the least that runsc needs to run /usr/bin/true of the host.
func (w *world) bareBundle() string {
	w.t.Helper()
	for _, dir := range []string{"bare/rootfs/usr", "bare/rootfs/proc", "bare/rootfs/dev", "bare/rootfs/tmp", "bare/rootfs/sys"} {
		w.must(os.MkdirAll(filepath.Join(w.dir, dir), 0o755))
	}
	for _, link := range []string{"bin", "lib", "lib64", "sbin"} {
		w.must(os.Symlink("usr/"+link, filepath.Join(w.dir, "bare/rootfs", link)))
	}
	w.write("bare/config.json", `{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"args":["/usr/bin/true"],"cwd":"/"},
"root":{"path":"rootfs"},"mounts":[{"destination":"/proc","type":"proc","source":"proc"},
{"destination":"/usr","type":"bind","source":"/usr","options":["ro","rbind"]}],
"linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}]}}`)
	return filepath.Join(w.dir, "bare")
}

var bareRuns int

func (w *world) timedBare(bundle string) time.Duration {
	w.t.Helper()
	bareRuns++
	cmd := exec.CommandContext(w.t.Context(), w.bin, "--root="+filepath.Join(w.dir, "tmp"), "--rootless", "--network=none", "--ignore-cgroups",
		"--platform=systrap", "--directfs=false", "run", "--bundle="+bundle, fmt.Sprintf("bare-%d", bareRuns))
	cmd.Args[0] = "runsc"
	testenv.As(w.uid, cmd)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("bare runsc: %v\n%s", err, out)
	}
	return time.Since(start)
}

func printMedians(b *testing.B, series map[string][]time.Duration) {
	b.Helper()
	for name, list := range series {
		b.ReportMetric(float64(median(list).Microseconds())/1000, "ms-"+strings.ReplaceAll(name, " ", "-"))
	}
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}
