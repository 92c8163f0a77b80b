package gvisor

import (
	"context"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/preflight"
)

// Entries are what this backend's own checks can find.
func Entries() []preflight.Entry {
	return []preflight.Entry{isolationTooWeak}
}

var (
	isolationTooWeak = preflight.Entry{ID: "isolation-too-weak", Status: preflight.Fail, Meaning: "The bottle wants stronger isolation than the backend gives.",
		Remedies: []preflight.Remedy{{Text: "use a backend with a virtual machine, or lower the bottle's `isolation`"}}}
)

// Checks are what this backend needs of the host for s.
func (b *Backend) Checks(s backends.Spec) []preflight.Check {
	host := preflight.ThisHost()
	return []preflight.Check{
		{ID: "isolation", Subject: string(s.Isolation), Run: func(context.Context) preflight.Finding { return checkIsolation(host, s.Isolation) }},
		preflight.UserNamespaces(host, s.UserID, func(ctx context.Context) error { return confine.Try(ctx, s.Executable, s.UserID) }),
		guestroot.Check(s),
	}
}

func checkIsolation(host preflight.Host, wanted policy.Isolation) preflight.Finding {
	if wanted == policy.IsolationVM {
		return host.Found(isolationTooWeak, "the bottle wants a virtual machine")
	}
	return preflight.Passed("a kernel in user space")
}
