package guestroot

import (
	"context"
	"fmt"
	"strings"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/preflight"
)

// CheckEntries are what Check can find.
func CheckEntries() []preflight.Entry { return []preflight.Entry{imageUnusable, imageSocket} }

var (
	imageUnusable = preflight.Entry{ID: "image-unusable", Status: preflight.Fail, Meaning: "A guest can't be made from the bottle's image.",
		Remedies: []preflight.Remedy{{Text: "mend the bottle's `image`: {hint}"}}}
	imageSocket = preflight.Entry{ID: "image-socket", Status: preflight.Fail, Meaning: "A service listens below a folder that the guest gets: a door that nobody guards.",
		Remedies: []preflight.Remedy{{Text: "move the socket of that service, or give the bottle an image of its own"}}}
)

// Check looks for what makes the image of s unusable or unsafe.
func Check(s backends.Spec) preflight.Check {
	subject := "host tools"
	if s.Image.Rootfs != "" {
		subject = s.Image.Rootfs
	}
	host := preflight.ThisHost()
	return preflight.Check{ID: "image", Subject: subject, Run: func(context.Context) preflight.Finding {
		entries, err := Entries(s)
		if err != nil {
			return host.Found(imageUnusable, err.Error(), "{hint}", strings.Join(term.Hints(err), "; "))
		}
		if socket := ListeningBelow(entries); socket != "" {
			return host.Found(imageSocket, fmt.Sprintf("socket %q would be reachable from the guest", socket))
		}
		return preflight.Passed(fmt.Sprintf("%d entries, no socket below them", len(entries)))
	}}
}
