package gitleakstest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Document is a text like those that agents send.
type Document struct {
	Text string
	Rule string // of the sample in it; empty: there is none
}

// Corpora makes three collections of n documents each, of some 8 KiB, by a seed: settings
// (environment files, INI and YAML), source code, and conversations with a model in
// JSON, some of it within strings of JSON. Every other one has a sample in it.
func Corpora(samples []Sample, n int, seed uint64) map[string][]Document {
	m := &maker{rand.New(rand.NewPCG(seed, 0))}
	var secrets []Sample
	for _, s := range samples {
		if s.Secret && len(s.Text) < 2048 {
			secrets = append(secrets, s)
		}
	}
	all := map[string][]Document{}
	for name, make := range map[string]func(string) string{"settings": m.settings, "source": m.source, "conversation": m.conversation} {
		for i := range n {
			var d Document
			planted := ""
			if i%2 == 0 {
				s := secrets[m.IntN(len(secrets))]
				d.Rule, planted = s.Rule, s.Text
			}
			d.Text = make(planted)
			all[name] = append(all[name], d)
		}
	}
	return all
}

// size is how long a document is, about.
const size = 8 << 10

type maker struct{ *rand.Rand }

var words = strings.Fields(`the a of request answer server client build test branch commit file folder path value
	user name host port cache queue job step run time limit error reason line number list map key field token count index buffer
	reader writer open close read write parse check find make keep hold send take`)

func (m *maker) word() string { return words[m.IntN(len(words))] }

func (m *maker) words(n int) string {
	var list []string
	for range n {
		list = append(list, m.word())
	}
	return strings.Join(list, " ")
}

// lines gives a document of lines with one more, planted, among them.
func (m *maker) lines(planted string, line func() string) string {
	var list []string
	for length := 0; length < size; {
		l := line()
		list = append(list, l)
		length += len(l) + 1
	}
	if planted != "" {
		list[m.IntN(len(list))] = planted
	}
	return strings.Join(list, "\n") + "\n"
}

func (m *maker) settings(planted string) string {
	return m.lines(planted, func() string {
		switch m.IntN(4) {
		case 0:
			return fmt.Sprintf("%s_%s=%d", strings.ToUpper(m.word()), strings.ToUpper(m.word()), m.IntN(10_000))
		case 1:
			return fmt.Sprintf("%s: %q", m.word(), m.words(3))
		case 2:
			return fmt.Sprintf("# %s", m.words(8))
		}
		return fmt.Sprintf("[%s]\n%s = /var/lib/%s/%s.d", m.word(), m.word(), m.word(), m.word())
	})
}

func (m *maker) source(planted string) string {
	return m.lines(planted, func() string {
		switch m.IntN(4) {
		case 0:
			return fmt.Sprintf("func (%c *%s) %s%s(%s string) error {", 'a'+rune(m.IntN(26)), m.word(), m.word(), m.word(), m.word())
		case 1:
			return fmt.Sprintf("\tif err := %s.%s(%q); err != nil {\n\t\treturn err\n\t}", m.word(), m.word(), m.words(2))
		case 2:
			return fmt.Sprintf("\t// %s", m.words(9))
		}
		return fmt.Sprintf("const %s%d = 0x%08x", m.word(), m.IntN(100), m.Uint32())
	})
}

func (m *maker) conversation(planted string) string {
	type message struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
	}
	var list []message
	at := m.IntN(6)
	for i := range 6 {
		text := m.settings("")[:size/6]
		if i == at && planted != "" {
			text += planted + "\n" + m.words(5)
		}
		if i%2 == 0 { // a tool's result, which is JSON itself
			inner, _ := json.Marshal(map[string]string{"stdout": text, "stderr": ""})
			list = append(list, message{"user", []any{map[string]any{"type": "tool_result", "content": string(inner)}}})
			continue
		}
		list = append(list, message{"assistant", text})
	}
	b, _ := json.Marshal(map[string]any{"model": "m", "messages": list})
	return string(b)
}
