package gvisor

import (
	"context"
	"fmt"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
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
	entries, err := guestroot.Entries(s)
	if err != nil {
		return host.Found(imageUnusable, err.Error(), "{hint}", strings.Join(term.Hints(err), "; "))
	}
	if socket := guestroot.ListeningBelow(entries); socket != "" {
		return host.Found(imageSocket, fmt.Sprintf("socket %q would be reachable from the guest", socket))
	}
	return preflight.Passed(fmt.Sprintf("%d entries, no socket below them", len(entries)))
}
