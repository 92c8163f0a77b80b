package policy

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// maxPrograms is far above what an agent consists of.
const maxPrograms = 32

// validate checks the format and that features are words of ASCII. Which of them
// mean something is the door's to know: one that means nothing allows nothing.
func (m *ModelAPI) validate(at string, f *Faults) {
	if !slices.Contains([]string{WireAnthropic, WireOpenAI, WireGemini}, m.Wire) {
		f.addf(at+".wire", "%.80q is none of anthropic, openai, gemini", m.Wire)
	}
	for i, name := range m.Allow {
		if name == "" || len(name) > maxValue || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			f.addf(fmt.Sprintf("%s.allow[%d]", at, i), "%.80q is not the name of a feature", name)
		}
	}
}

// validatePrograms keeps programs below their root in the guest, one beside the
// other, and away from the host's own root.
func (i Image) validatePrograms(f *Faults) {
	if len(i.Programs) > maxPrograms {
		f.addf("image.programs", "there are more than %d", maxPrograms)
		return
	}
	for n, p := range i.Programs {
		at := fmt.Sprintf("image.programs[%d]", n)
		if !filepath.IsAbs(p.Host) || filepath.Clean(p.Host) != p.Host || p.Host == "/" {
			f.addf(at+".host", "%q is not an absolute path without dot segments", p.Host)
		}
		if filepath.Clean(p.Guest) != p.Guest || !strings.HasPrefix(p.Guest, ProgramRoot+"/") {
			f.addf(at+".guest", "%q is not a path below %s", p.Guest, ProgramRoot)
		}
		for _, other := range i.Programs[:n] {
			if strings.HasPrefix(p.Guest+"/", other.Guest+"/") || strings.HasPrefix(other.Guest+"/", p.Guest+"/") {
				f.addf(at+".guest", "%q and %q are in each other's place", other.Guest, p.Guest)
			}
		}
	}
}
