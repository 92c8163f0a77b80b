package docker

import (
	"fmt"
	"testing"

	"github.com/bot-bottle/action/backends/hostproc"
)

func TestMountsOfTheHostAreShares(t *testing.T) {
	host := []hostproc.Mount{{Device: "254:0", Target: "/", Type: "ext4"}, {Device: "0:22", Target: "/run", Type: "tmpfs"}, {Device: "0:5", Target: "/dev", Type: "devtmpfs"}, {Device: "0:30", Target: "/sys/fs/cgroup", Type: "cgroup2"}}
	for _, c := range []struct {
		mount hostproc.Mount
		share bool
	}{
		{hostproc.Mount{Device: "0:99", Root: "/", Target: "/", Type: "overlay"}, true},
		{hostproc.Mount{Device: "254:0", Root: "/usr/bin", Target: "/usr/bin", Type: "ext4"}, true},
		{hostproc.Mount{Device: "7:7", Root: "/", Target: "/x", Type: "xfs"}, true}, // that we can't see
		{hostproc.Mount{Device: "0:22", Root: "/user/1", Target: "/x", Type: "tmpfs"}, true},
		{hostproc.Mount{Device: "0:88", Root: "/", Target: "/tmp", Type: "tmpfs"}, false},
		{hostproc.Mount{Device: "0:77", Root: "/", Target: "/proc", Type: "proc"}, false},
		{hostproc.Mount{Device: "0:5", Root: "/null", Target: "/dev/null", Type: "devtmpfs"}, false},
		{hostproc.Mount{Device: "0:5", Root: "/kvm", Target: "/dev/kvm", Type: "devtmpfs"}, true},
		{hostproc.Mount{Device: "0:22", Root: "/null", Target: "/dev/null", Type: "tmpfs"}, true},
		{hostproc.Mount{Device: "0:30", Root: "/", Target: "/sys/fs/cgroup", Type: "cgroup2", ReadOnly: true}, false},
		{hostproc.Mount{Device: "0:30", Root: "/", Target: "/sys/fs/cgroup", Type: "cgroup2"}, true},
	} {
		got := hostShares([]hostproc.Mount{c.mount}, host)
		if (len(got) == 1) != c.share || c.share && got[0].Target != c.mount.Target {
			t.Errorf("%s: got %v", fmt.Sprintf("%+v", c.mount), got)
		}
	}
}
