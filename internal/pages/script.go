package pages

import "strings"

// Script gives what a reader would type: of a block of "console" the lines behind the
// prompts "$ " and "# ", each with those that continue it, else the whole text.
func (b Block) Script() string {
	script, _ := b.parts()
	return script
}

// Output gives what a block of "console" shows to come out: the lines that are typed by
// nobody.
func (b Block) Output() []string {
	_, output := b.parts()
	return output
}

func (b Block) parts() (script string, output []string) {
	if b.Language != "console" {
		return b.Text, nil
	}
	goesOn, until := false, "" // the line before ends with a backslash; a here document ends so
	for line := range strings.Lines(b.Text) {
		typed, prompt := strings.CutPrefix(line, "$ ")
		if !prompt {
			typed, prompt = strings.CutPrefix(line, "# ")
		}
		switch {
		case until != "":
			script += line
			if strings.TrimRight(line, "\n") == until {
				until = ""
			}
			continue
		case goesOn:
			typed = line
		case !prompt:
			output = append(output, strings.TrimRight(line, "\n"))
			continue
		}
		script += typed
		goesOn = strings.HasSuffix(typed, "\\\n")
		if _, end, here := strings.Cut(typed, "<<'"); here {
			until, _, _ = strings.Cut(end, "'")
		}
	}
	return script, output
}
