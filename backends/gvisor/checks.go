package gvisor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/preflight"
)

// Entries are what this backend's own checks can find.
func Entries() []preflight.Entry {
	return []preflight.Entry{isolationTooWeak, imageUnusable, imageSocket}
}

var (
	isolationTooWeak = preflight.Entry{ID: "isolation-too-weak", Status: preflight.Fail, Meaning: "The bottle wants stronger isolation than the backend gives.",
		Remedies: []preflight.Remedy{{Text: "use a backend with a virtual machine, or lower the bottle's `isolation`"}}}
	imageUnusable = preflight.Entry{ID: "image-unusable", Status: preflight.Fail, Meaning: "A guest can't be made from the bottle's image.",
		Remedies: []preflight.Remedy{{Text: "mend the bottle's `image`: {hint}"}}}
	imageSocket = preflight.Entry{ID: "image-socket", Status: preflight.Fail, Meaning: "A service listens below a folder that the guest gets: a door that nobody guards.",
		Remedies: []preflight.Remedy{{Text: "move the socket of that service, or give the bottle an image of its own"}}}
)

// Checks are what this backend needs of the host for s.
func (b *Backend) Checks(s backends.Spec) []preflight.Check {
	host := preflight.ThisHost()
	return []preflight.Check{
		{ID: "isolation", Subject: string(s.Isolation), Run: func(context.Context) preflight.Finding { return checkIsolation(host, s.Isolation) }},
		preflight.UserNamespaces(host, s.UserID, func(ctx context.Context) error { return confine.Try(ctx, s.Executable, s.UserID) }),
		{ID: "image", Subject: imageName(s), Run: func(context.Context) preflight.Finding { return checkImage(host, s) }},
	}
}

func checkIsolation(host preflight.Host, wanted policy.Isolation) preflight.Finding {
	if wanted == policy.IsolationVM {
		return host.Found(isolationTooWeak, "the bottle wants a virtual machine")
	}
	return preflight.Passed("a kernel in user space")
}

func imageName(s backends.Spec) string {
	if s.Image.Rootfs != "" {
		return s.Image.Rootfs
	}
	return "host tools"
}

// checkImage looks for what makes the image unusable or unsafe.
func checkImage(host preflight.Host, s backends.Spec) preflight.Finding {
	entries, err := image(s)
	if err != nil {
		return host.Found(imageUnusable, err.Error(), "{hint}", strings.Join(hintsOf(err), "; "))
	}
	var sources []string
	for _, e := range entries {
		if e.Kind == confine.KindBind {
			sources = append(sources, e.Source)
		}
	}
	table, err := os.Open("/proc/net/unix")
	if err != nil {
		return preflight.Passed(fmt.Sprintf("%d shares", len(sources)))
	}
	defer table.Close()
	if found := boundSockets(bufio.NewScanner(table), sources); len(found) > 0 {
		return host.Found(imageSocket, fmt.Sprintf("socket %q would be reachable from the guest", found[0]))
	}
	return preflight.Passed(fmt.Sprintf("%d shares, no socket below them", len(sources)))
}
